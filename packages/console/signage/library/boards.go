package library

import (
	"cmp"
	"fmt"
	"strings"

	"porthole/packages/console/signage"
)

// Verdict says whether a Raspberry Pi can play a medium.
type Verdict struct {
	Board string `json:"board"`
	OK    bool   `json:"ok"`
	// Tight is with OK: it plays, but pictures may be missing when the board is warm or busy.
	Tight bool `json:"tight"`
	// Why is a sentence; with what to do if the board cannot play it, or hardly.
	Why string `json:"why"`
}

// board is what a Raspberry Pi decodes by processor. Porthole's player decodes in software: the kernels it can use have no
// driver for the video decoders (docs/measurements.md, overlays/decoder).
type board struct {
	name string
	// fine and most are millions of pixels a second of 8-bit H.264: what it plays without a doubt, and what at most.
	fine, most float64
	// advice is a size to export with that is fine.
	advice string
}

// The boards' figures are what others report of ffmpeg on them, not measurements of ours: we had no board.
//   - Zero 2 W and 3: "720p30 fine, 1080p30 marginal" (27.6 and 62.2 million pixels a second). The Zero 2 W has the same cores at
//     1.0 instead of 1.2 to 1.4 GHz, so less is fine.
//   - 4: 1080p at 2.7 times real time, of 24 to 30 pictures a second: 134 to 168.
//   - 5: 141 pictures of 1080p a second: 292.
//
// What is fine leaves a third for everything else. What a decoder would do in hardware (3: H.264 to 1080p30; 4: H.264 to 1080p60
// and H.265 to 4K60; 5: H.265 only) does not count until a player uses it.
var boards = []board{
	{"Pi Zero 2 W", 22, 48, "1280 × 720 and 24 pictures a second or less"},
	{"Pi 3", 30, 62.3, "1280 × 720 and 30 pictures a second"},
	{"Pi 4", 90, 134, "1920 × 1080 and 30 pictures a second"},
	{"Pi 5", 195, 292, "1920 × 1080 and 60 pictures a second"},
}

// cost is how much more work than 8-bit H.264 a codec is. For H.265 and H.264 it was measured here (docs/measurements.md and
// field notes: 123 to 105 pictures a second); the others are estimates on the safe side.
var cost = map[string]float64{"h264": 1, "hevc": 1.2, "vp9": 1.2, "vp8": 0.9, "mpeg4": 0.6, "h263": 0.5, "mjpeg": 1.5}

// deepCost is of samples with more than 8 bits, which take twice the memory and, in H.264, code without much assembler.
const deepCost = 2

// assumedFPS stands where a video does not say.
const assumedFPS = 30

// Boards says what each Raspberry Pi makes of a medium.
func Boards(m signage.Media) []Verdict {
	list := make([]Verdict, 0, len(boards))
	for _, b := range boards {
		v := b.still(m)
		if m.Kind == signage.Video {
			v = b.video(m)
		}
		v.Board = b.name
		list = append(list, v)
	}
	return list
}

// Summary says in a few words what the boards make of a medium, and how many of them play it.
func Summary(m signage.Media) (text string, on int) {
	var no []string
	why, tight := "", false
	for _, v := range Boards(m) {
		if v.OK {
			on++
			tight = tight || v.Tight
			continue
		}
		no = append(no, v.Board)
		why = cmp.Or(why, strings.TrimPrefix(v.Why, v.Board+": "))
	}
	switch {
	case on == 0:
		return "Plays on no board: " + why, on
	case len(no) == 1:
		return "Too much for " + no[0] + ": " + why, on
	case len(no) > 1:
		return "Too much for " + strings.Join(no[:len(no)-1], ", ") + " and " + no[len(no)-1] + ": " + why, on
	case tight:
		return "Plays on every board, just so on some", on
	}
	return "Plays on every board", on
}

// slowPixels is from when a picture takes a small board seconds.
const slowPixels = 12_000_000

func (b board) still(m signage.Media) Verdict {
	v := Verdict{OK: true, Why: b.name + ": shows it."}
	if m.Width*m.Height > slowPixels && b.most < 100 {
		v.Tight = true
		v.Why = b.name + ": shows it, after some seconds. Export it with 3840 × 2160 or less."
	}
	return v
}

func (b board) video(m signage.Media) Verdict {
	factor, ok := cost[m.Probe.Codec]
	if !ok {
		return Verdict{Why: fmt.Sprintf("%s: cannot play %s. Convert it to MP4 with H.264.", b.name, codecText(m.Probe.Codec))}
	}
	if m.Probe.BitDepth > 8 {
		factor *= deepCost
	}
	fps := m.Probe.FPS
	if fps <= 0 {
		fps = assumedFPS
	}
	load := float64(m.Width) * float64(m.Height) * fps * factor / 1e6
	what := fmt.Sprintf("%s, %d × %d, %.4g pictures a second", codecText(m.Probe.Codec), m.Width, m.Height, fps)
	if m.Probe.BitDepth > 8 {
		what += fmt.Sprintf(", %d bits", m.Probe.BitDepth)
	}
	advice := fmt.Sprintf("Export it as H.264 with %s.", b.advice)
	switch {
	case load <= b.fine:
		return Verdict{OK: true, Why: b.name + ": plays it."}
	case load <= b.most:
		return Verdict{OK: true, Tight: true, Why: fmt.Sprintf("%s: plays it, but near its limit (%s); it may stutter. To be safe: %s", b.name, what, advice)}
	}
	return Verdict{Why: fmt.Sprintf("%s: too much for it (%s). %s", b.name, what, advice)}
}
