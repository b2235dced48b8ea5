package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
)

// NAL unit types (ITU-T H.264 table 7-1, ITU-T H.265 table 7-1). Decoding H.265 can start at BLA, IDR and CRA pictures.
const (
	h264IDR, h264SPS, h264PPS = 5, 7, 8
	h265BLA, h265CRA          = 16, 21
)

// jpegCodecs are names under which tracks of JPEG pictures go.
var jpegCodecs = []rtsp.Codec{"JPEG", "MJPEG", "M-JPEG"}

// errDone ends reading once the picture is there.
var errDone = errors.New("the picture is there")

// grabber reads a stream until it has one picture.
type grabber struct {
	log  *slog.Logger
	open func(context.Context, decode.Live) (*decode.Decoder, error)

	// Set by run: start opens a decoder, receive waits for its picture, end says why reading ends.
	start   func(decode.Live) (*decode.Decoder, error)
	receive func()
	end     context.CancelCauseFunc

	work sync.WaitGroup

	// Set with the tracks, used by the goroutine that reads.
	track   int
	format  rtsp.Track
	decoder *decode.Decoder
	began   bool
	first   uint32

	picture *still // written before end(errDone)
}

// run returns the picture. Its errors are this package's.
func (g *grabber) run(ctx context.Context, play func(context.Context, rtsp.Sink) error) (*still, error) {
	reading, end := context.WithCancelCause(ctx)
	g.end = end
	g.start = func(live decode.Live) (*decode.Decoder, error) { return g.open(reading, live) }
	g.receive = func() { g.wait(reading) }
	defer end(nil)
	err := play(reading, g)
	// The first reason counts: play's own when nobody ended it.
	end(err)
	g.work.Wait()
	if g.decoder != nil {
		g.decoder.Close()
	}
	cause := context.Cause(reading)
	switch {
	case errors.Is(cause, errDone):
		return g.picture, nil
	case errors.Is(cause, rtsp.ErrNoCamera):
		return nil, ErrUnknown
	case errors.Is(cause, ErrCodec):
		return nil, cause
	case errors.Is(cause, ErrDecoder):
		g.log.Warn("no snapshot", "err", cause)
		return nil, ErrDecoder
	case errors.Is(cause, context.Canceled):
		return nil, ErrBusy // this process ends, or nobody waits any more
	}
	// It does not answer, sends nothing, or proxy is being started again.
	g.log.Info("no snapshot", "err", cause)
	return nil, ErrOffline
}

// Tracks implements rtsp.Sink: it starts a decoder for the first track of pictures.
func (g *grabber) Tracks(tracks []rtsp.Track) {
	g.track = slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Video })
	if g.track < 0 {
		g.end(fmt.Errorf("%w: it sends no video", ErrCodec))
		return
	}
	g.format = tracks[g.track]
	var codec decode.Codec
	switch g.format.Codec {
	case rtsp.H264:
		codec = decode.H264
	case rtsp.H265:
		codec = decode.H265
	default:
		if !slices.Contains(jpegCodecs, g.format.Codec) {
			g.end(fmt.Errorf("%w: it sends %s; set it to H.264 or H.265", ErrCodec, g.format.Codec))
		}
		return
	}
	d, err := g.start(decode.Live{Codec: codec})
	if err != nil {
		g.end(fmt.Errorf("%w: start the decoder: %w", ErrDecoder, err))
		return
	}
	g.decoder = d
}

// Unit implements rtsp.Sink.
func (g *grabber) Unit(u rtsp.Unit) {
	if u.Track != g.track {
		return
	}
	if g.decoder == nil {
		g.jpeg(u.Payload)
		return
	}
	data, key := keyUnit(g.format, u.NALUs)
	if !g.began {
		if !key {
			return
		}
		g.began, g.first = true, u.RTPTime
		g.work.Go(g.receive)
	}
	// Some streams hold a picture back until the next ones have come. Those before the first, of a stream with B-frames,
	// are of no use.
	behind := int64(int32(u.RTPTime - g.first))
	if behind < 0 || len(data) == 0 {
		return
	}
	pts := time.Duration(behind) * time.Second / time.Duration(max(g.format.ClockRate, 1))
	if err := g.decoder.Send(decode.Unit{PTS: pts, Key: key, Data: data}); err != nil {
		g.end(fmt.Errorf("%w: %w", ErrDecoder, err))
	}
}

// wait takes the decoder's first picture.
func (g *grabber) wait(ctx context.Context) {
	f, err := g.decoder.Next(ctx)
	if err != nil {
		g.end(fmt.Errorf("%w: %w", ErrDecoder, err))
		return
	}
	info, err := g.decoder.Info(ctx)
	if err != nil {
		g.end(fmt.Errorf("%w: %w", ErrDecoder, err))
		return
	}
	// The frame is not released: its memory is nobody else's, and goes with the decoder.
	g.picture = &still{yuv: f.Image, info: info}
	g.end(errDone)
}

// jpeg takes a picture that needs no decoder.
func (g *grabber) jpeg(b []byte) {
	// Markers SOI and EOI (ITU-T T.81 table B.1).
	if !bytes.HasPrefix(b, []byte{0xff, 0xd8}) || !bytes.HasSuffix(b, []byte{0xff, 0xd9}) {
		return
	}
	s, err := fromJPEG(bytes.Clone(b))
	if err != nil {
		g.end(fmt.Errorf("%w: %w", ErrDecoder, err))
		return
	}
	g.picture = s
	g.end(errDone)
}

// keyUnit returns what a decoder needs of an access unit, and whether it can start there: then it has the parameter sets
// in front, the camera's description standing in for those that are missing.
func keyUnit(t rtsp.Track, nalus [][]byte) (data [][]byte, key bool) {
	sps, pps := false, false
	for _, n := range nalus {
		if len(n) < 2 {
			continue
		}
		if t.Codec == rtsp.H265 {
			kind := int(n[0] >> 1 & 0x3f)
			key = key || kind >= h265BLA && kind <= h265CRA
		} else {
			kind := n[0] & 0x1f
			key = key || kind == h264IDR
			sps, pps = sps || kind == h264SPS, pps || kind == h264PPS
		}
		data = append(data, n)
	}
	if key && t.Codec == rtsp.H264 {
		if !pps && len(t.PPS) > 0 {
			data = slices.Insert(data, 0, t.PPS)
		}
		if !sps && len(t.SPS) > 0 {
			data = slices.Insert(data, 0, t.SPS)
		}
	}
	return data, key
}
