package rtsp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/pion/rtp"
)

// tsClock is the clock of MPEG-TS timestamps in Hz (ISO/IEC 13818-1 section 2.4.2.1).
const tsClock = 90000

// sample is an access unit of a clip.
type sample struct {
	track *clipTrack
	// pts and dts count in tsClock from the clip's beginning.
	pts, dts int64
	units    [][]byte
}

type clipTrack struct {
	media  *description.Media
	format format.Format
	encode func([][]byte) ([]*rtp.Packet, error)
}

// clip is a parsed MPEG-TS file.
type clip struct {
	tracks []*clipTrack
	// samples are in the order they are sent in.
	samples []sample
	// length is what a round lasts, in tsClock.
	length int64
}

// parseClip reads the H.264 and AAC tracks of an MPEG-TS file. The video's length is the round's, and sound beyond it
// is left out.
func parseClip(data []byte) (*clip, error) {
	r := &mpegts.Reader{R: bytes.NewReader(data)}
	if err := r.Initialize(); err != nil {
		return nil, fmt.Errorf("read clip: %w", err)
	}
	c := &clip{}
	var video *clipTrack
	var unwrap mpegts.TimeDecoder
	unwrap.Initialize()
	for _, t := range r.Tracks() {
		switch codec := t.Codec.(type) {
		case *codecs.H264:
			if video != nil {
				continue
			}
			track := &clipTrack{format: &format.H264{PayloadTyp: 96, PacketizationMode: 1}}
			video = track
			c.addTrack(track, description.MediaTypeVideo)
			r.OnDataH264(t, func(pts, dts int64, au [][]byte) error {
				d := unwrap.Decode(dts)
				c.samples = append(c.samples, sample{track: track, dts: d, pts: d + pts - dts, units: cloneUnits(au)})
				return nil
			})
		case *codecs.MPEG4Audio:
			f := &format.MPEG4Audio{PayloadTyp: 97, Config: &codec.Config, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
			if f.ClockRate() <= 0 {
				return nil, errors.New("read clip: AAC without a sample rate")
			}
			track := &clipTrack{format: f}
			c.addTrack(track, description.MediaTypeAudio)
			r.OnDataMPEG4Audio(t, func(pts int64, aus [][]byte) error {
				at := unwrap.Decode(pts)
				for i, au := range aus {
					// AAC frames have 1024 samples (ISO/IEC 14496-3 section 4.5.1.1).
					t := at + int64(i)*1024*tsClock/int64(f.ClockRate())
					c.samples = append(c.samples, sample{track: track, pts: t, dts: t, units: [][]byte{bytes.Clone(au)}})
				}
				return nil
			})
		}
	}
	for {
		if err := r.Read(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read clip: %w", err)
		}
	}
	return c, c.finish(video)
}

func (c *clip) addTrack(t *clipTrack, kind description.MediaType) {
	t.media = &description.Media{Type: kind, Formats: []format.Format{t.format}}
	c.tracks = append(c.tracks, t)
}

// finish orders the samples and makes the encoders.
func (c *clip) finish(video *clipTrack) error {
	master := video
	if master == nil && len(c.tracks) > 0 {
		master = c.tracks[0]
	}
	first := map[*clipTrack]int64{}
	var last, before, n int64
	for _, s := range c.samples {
		if f, seen := first[s.track]; !seen || s.dts < f {
			first[s.track] = s.dts
		}
		if s.track == master {
			last, before = s.dts, last
			n++
		}
	}
	if n < 2 {
		return errors.New("read clip: no H.264 or AAC of any length in it")
	}
	// The last picture lasts as long as the one before it.
	c.length = last - first[master] + last - before
	if c.length <= 0 {
		return errors.New("read clip: its timestamps go back")
	}
	c.samples = slices.DeleteFunc(c.samples, func(s sample) bool { return s.dts-first[s.track] >= c.length })
	origin := c.samples[0].dts
	for _, f := range first {
		origin = min(origin, f)
	}
	for i := range c.samples {
		c.samples[i].dts -= origin
		c.samples[i].pts -= origin
	}
	slices.SortStableFunc(c.samples, func(a, b sample) int { return cmp.Compare(a.dts, b.dts) })
	return c.makeEncoders()
}

func (c *clip) makeEncoders() error {
	for _, t := range c.tracks {
		switch f := t.format.(type) {
		case *format.H264:
			for _, s := range c.samples {
				for _, u := range s.units {
					// The packet form of a unit is the unit itself.
					if s.track == t && !described(f) {
						learn(f, u)
					}
				}
			}
			e, err := f.CreateEncoder()
			if err != nil {
				return fmt.Errorf("write H.264: %w", err)
			}
			t.encode = e.Encode
		case *format.MPEG4Audio:
			e, err := f.CreateEncoder()
			if err != nil {
				return fmt.Errorf("write AAC: %w", err)
			}
			t.encode = e.Encode
		}
	}
	return nil
}

// at converts a time in tsClock to the track's RTP clock.
func (t *clipTrack) at(ticks int64) uint32 {
	rate := int64(t.format.ClockRate())
	return uint32(ticks/tsClock*rate + ticks%tsClock*rate/tsClock)
}

// ticksToDuration converts a time in tsClock.
func ticksToDuration(t int64) time.Duration {
	return time.Duration(t/tsClock)*time.Second + time.Duration(t%tsClock)*time.Second/tsClock
}

func cloneUnits(au [][]byte) [][]byte {
	out := make([][]byte, len(au))
	for i, u := range au {
		out[i] = bytes.Clone(u)
	}
	return out
}
