package library

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unicode"

	"porthole/media/decode"
	"porthole/media/exif"
	"porthole/media/render"
	"porthole/packages/console/signage"
)

const (
	// childTimeout bounds what one picture out of a file may take. A photo of 64 megapixels takes 5 s of a PC's processor, and
	// the slowest board is some ten times slower.
	childTimeout = 2 * time.Minute
	// countTimeout bounds the decoding of a whole video that does not say how long it is.
	countTimeout = 3 * time.Minute
	// maxVideoPixels is 4096×2304, which includes 4K in all of its shapes.
	maxVideoPixels = decode.DefaultMaxPixels
	maxLength      = 24 * time.Hour
)

// frameOptions say which picture of a file a child is asked for.
type frameOptions struct {
	box       image.Point // scaled down to fit
	maxPixels int
	start     time.Duration
	whole     bool // decode on to the end, and take damage for an error
}

// frame is a picture out of a file, and what the file says of itself.
type frame struct {
	image *render.Image
	input decode.Input
	info  decode.StreamInfo
}

// frame asks a decoder child for one picture. The input is there, as far as the child came, also if it failed.
func (l *Library) frame(ctx context.Context, f *os.File, o frameOptions) (frame, error) {
	weight := int64(1)
	if o.whole {
		weight = atOnce // a photo of 64 megapixels takes 300 MB: one at a time
	}
	if err := l.children.Acquire(ctx, weight); err != nil {
		return frame{}, err
	}
	defer l.children.Release(weight)
	if _, err := os.Stat(l.opts.Decoder); err != nil {
		return frame{}, refuse("Videos and large photos cannot be looked at here: the decoder is missing (%s).", l.opts.Decoder)
	}
	d, err := decode.Open(ctx, decode.Options{
		Binary: l.opts.Decoder, Libraries: l.opts.Libraries, File: f, MaxSize: o.box, MaxPixels: o.maxPixels, Start: o.start,
		Frames: 1, Threads: 1, FrameTimeout: childTimeout, Timeout: childTimeout,
	})
	if err != nil {
		return frame{}, fmt.Errorf("look into file: %w", err)
	}
	defer d.Close()
	first, err := d.Next(ctx)
	if err != nil {
		return frame{input: d.Input()}, err
	}
	info, err := d.Info(ctx)
	if err != nil {
		return frame{input: d.Input()}, err
	}
	m := render.NewImage(first.Image.Rect.Dx(), first.Image.Rect.Dy())
	render.NewConverter(render.Matrix(info.Matrix), info.FullRange).Draw(m, m.Rect, first.Image, first.Image.Rect)
	first.Release()
	got := frame{image: m, input: d.Input(), info: info}
	for o.whole {
		next, err := d.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return got, err
		}
		next.Release()
	}
	return got, nil
}

// probeClip looks into a video: whether it is all there, what it says of itself, and its first picture and one from its middle.
func (l *Library) probeClip(ctx context.Context, f *os.File, size int64, fm format) (Found, error) {
	structure, err := walk(f, size, fm)
	if err != nil {
		return Found{}, err
	}
	first, err := l.frame(ctx, f, frameOptions{box: thumbBox, maxPixels: maxVideoPixels})
	if err != nil {
		return Found{}, refuseClip(err, first.input)
	}
	in := first.input
	length := in.Duration
	if length == 0 {
		if length, err = l.measure(ctx, f); err != nil {
			return Found{}, err
		}
	}
	if length > maxLength {
		return Found{}, refuse("This video says that it lasts %s; more than %d hours are not taken. If it is not as long as that, it is damaged: export it again.",
			durationText(length), int(maxLength.Hours()))
	}
	if length < time.Millisecond {
		return Found{}, refuse("This video has no length: it holds a single picture. Upload a picture instead, or export the video again.")
	}
	m := signage.Media{Kind: signage.Video, MIME: fm.mime, Duration: length.Round(time.Millisecond)}
	m.Width, m.Height = shownSize(in, first.info.Rotation)
	m.Probe = signage.Probe{
		Container: fm.name, Codec: in.Codec, Profile: in.Profile, Level: structure.level, FPS: math.Round(in.FrameRate*1000) / 1000,
		BitDepth: in.BitDepth, Rotation: first.info.Rotation, Audio: in.Audio, Alpha: in.Alpha, Animated: true,
	}
	found := Found{Media: m}
	shown := first
	if at := length / 10; at > 0 {
		// A file whose middle cannot be decoded is damaged there, which does not make the rest unfit to be shown.
		middle, err := l.frame(ctx, f, frameOptions{box: thumbBox, maxPixels: maxVideoPixels, start: at})
		switch {
		case err == nil:
			shown = middle
		case ctx.Err() != nil:
			return Found{}, ctx.Err()
		case !errors.Is(err, io.EOF):
			found.Notes = append(found.Notes, "A part of this video cannot be played. Look at all of it before it is shown.")
		}
	}
	found.thumb = encodeThumb(thumbnail(still{shown.image, exif.Rotated(shown.info.Rotation)}))
	return found, nil
}

// walk checks a container's structure.
func walk(f io.ReaderAt, size int64, fm format) (structure, error) {
	var s structure
	var err error
	switch fm.name {
	case "mp4", "mov":
		s, err = walkMP4(f, size)
	case "matroska", "webm":
		s, err = walkMatroska(f, size)
	case "mpegts":
		head := make([]byte, 256<<10)
		n, readErr := f.ReadAt(head, 0)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return s, fmt.Errorf("read file: %w", readErr)
		}
		s.level = levelOfStream(head[:n])
	}
	if errors.Is(err, errDamaged) || errors.Is(err, errTooMany) {
		return s, refuse("The video's file is damaged: %s. Export or copy it again.", err)
	}
	return s, err
}

// measure decodes a whole video that does not say how long it is, as those that browsers record.
func (l *Library) measure(ctx context.Context, f *os.File) (time.Duration, error) {
	if err := l.children.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	defer l.children.Release(1)
	d, err := decode.Open(ctx, decode.Options{
		Binary: l.opts.Decoder, Libraries: l.opts.Libraries, File: f, MaxSize: image.Pt(16, 16), MaxPixels: maxVideoPixels,
		FrameTimeout: childTimeout, Timeout: countTimeout,
	})
	if err != nil {
		return 0, fmt.Errorf("look into file: %w", err)
	}
	defer d.Close()
	var last, step time.Duration
	for {
		fr, err := d.Next(ctx)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, decode.ErrDamaged) && last > 0:
			return last + step, nil
		case errors.Is(err, decode.ErrTimeout):
			return 0, refuse("This video does not say how long it is, and is too long to find out. Convert it to MP4 with H.264, for example with HandBrake.")
		case err != nil:
			return 0, refuseClip(err, d.Input())
		}
		step, last = fr.PTS-last, fr.PTS
		fr.Release()
	}
}

// shownSize is the size of a video as it is seen: square pixels, turned.
func shownSize(in decode.Input, rotation int) (w, h int) {
	w, h = in.Width, in.Height
	if a := in.SampleAspect; a[0] > 0 && a[1] > 0 && a[0] != a[1] {
		w = int(math.Round(float64(w) * float64(a[0]) / float64(a[1])))
	}
	if rotation == 90 || rotation == 270 {
		w, h = h, w
	}
	return w, h
}

// refuseClip makes a sentence of a decoder's error.
func refuseClip(err error, in decode.Input) error {
	var e *decode.Error
	if !errors.As(err, &e) {
		if errors.Is(err, io.EOF) {
			return refuse("There is no picture in this video. Export it again.")
		}
		return err
	}
	codec := codecText(in.Codec)
	switch {
	case in.Codec == "":
		if in.Audio != "" {
			return refuse("This is sound without a picture. Screens show pictures and videos.")
		}
		return refuse("There is no video in this file, or none that can be read. Export it as MP4 with H.264.")
	case errors.Is(err, decode.ErrUnsupported) && in.Width*in.Height > maxVideoPixels:
		return refuse("This video is too large: %d × %d; screens play at most 4096 × 2304. Export it with 1920 × 1080.", in.Width, in.Height)
	case errors.Is(err, decode.ErrUnsupported):
		return refuse("This video is coded as %s, which screens do not play. Convert it to MP4 with H.264, for example with HandBrake.", codec)
	case errors.Is(err, decode.ErrMemory):
		return refuse("This video takes too much memory (%s, %d × %d). Export it with 1920 × 1080 or less.", codec, in.Width, in.Height)
	case errors.Is(err, decode.ErrHung), errors.Is(err, decode.ErrTimeout):
		return refuse("Decoding this video takes far too long, so screens cannot play it. Export it again as MP4 with H.264, 1920 × 1080 or less.")
	}
	return refuse("This video is damaged: not even its first picture can be decoded (%s). Export it again as MP4 with H.264.", printable(e.Detail))
}

// refuseStill is refuseClip for a photo.
func refuseStill(err error) error {
	var e *decode.Error
	switch {
	case !errors.As(err, &e):
		return err
	case errors.Is(err, decode.ErrMemory), errors.Is(err, decode.ErrHung), errors.Is(err, decode.ErrTimeout):
		return refuse("This photo takes too much memory or time to decode. Export it with 3840 × 2160 or less, which is all that a screen can show.")
	case errors.Is(err, decode.ErrCrashed):
		// The kernel ends the child first when memory is short.
		return refuse("This photo cannot be decoded: it is too large for this device, or damaged. Export it with 3840 × 2160 or less.")
	case errors.Is(err, decode.ErrUnsupported):
		return refuse("This is a rare kind of JPEG, which screens do not show. Open it in a picture program and export it as JPEG.")
	}
	return refuse("The photo is damaged or incomplete (%s). Copy it once more from where it comes, or export it again.", printable(e.Detail))
}

// codecText is a codec's name as people know it.
func codecText(codec string) string {
	if t, ok := map[string]string{
		"h264": "H.264", "hevc": "H.265", "vp8": "VP8", "vp9": "VP9", "av1": "AV1", "prores": "ProRes", "mpeg2video": "MPEG-2", "mpeg1video": "MPEG-1",
		"mpeg4": "MPEG-4", "mjpeg": "motion JPEG", "dnxhd": "DNxHD", "vc1": "VC-1", "wmv3": "Windows Media", "theora": "Theora", "h263": "H.263",
		"rawvideo": "raw pictures", "qtrle": "QuickTime animation", "cinepak": "Cinepak", "none": "something nobody knows", "": "something nobody knows",
	}[codec]; ok {
		return t
	}
	return printable(codec)
}

// printable makes words that may come from a file fit for a sentence.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > 160 {
		s = strings.ToValidUTF8(s[:160], "") + "…"
	}
	return s
}
