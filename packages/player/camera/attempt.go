package camera

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
)

var (
	errDecoder  = errors.New("start the decoder")
	errPictures = errors.New("decode the camera's pictures")
)

// codecError is a camera whose video nobody here can decode.
type codecError struct{ codec rtsp.Codec }

func (e *codecError) Error() string {
	if e.codec == "" {
		return "it sends no video"
	}
	return fmt.Sprintf("it sends %s, which cannot be shown here: set it to H.264 or H.265", e.codec)
}

// attempt is one connection to the camera with one decoder; when either ends, both do. The camera's cached GOP makes up
// for it: the next decoder has a picture at once.
type attempt struct {
	w       *Watcher
	reorder bool
	end     context.CancelCauseFunc
	work    sync.WaitGroup

	// Set with the tracks, before the first unit.
	track    int
	units    *converter
	decoder  *decode.Decoder
	pictures int // written by pump, read after its end
}

// sink makes an rtsp.Sink of two functions.
type sink struct {
	tracks func([]rtsp.Track)
	unit   func(rtsp.Unit)
}

// Tracks implements rtsp.Sink.
func (s sink) Tracks(t []rtsp.Track) { s.tracks(t) }

// Unit implements rtsp.Sink.
func (s sink) Unit(u rtsp.Unit) { s.unit(u) }

// run returns why it ended.
func (a *attempt) run(ctx context.Context) error {
	ctx, a.end = context.WithCancelCause(ctx)
	defer a.end(nil)
	a.w.mu.Lock()
	a.w.lastUnit = time.Now()
	a.w.mu.Unlock()
	a.work.Go(func() { a.listen(ctx) })
	err := a.w.cfg.Play(ctx, a.w.cfg.Camera, sink{
		tracks: func(t []rtsp.Track) {
			if err := a.open(ctx, t); err != nil {
				a.end(err)
			}
		},
		unit: a.send,
	})
	// The first reason counts: Play's own when nobody ended it.
	a.end(err)
	if a.decoder != nil {
		a.decoder.Close()
	}
	a.work.Wait()
	if a.decoder != nil {
		a.w.mu.Lock()
		a.w.skipped += a.decoder.Skipped()
		a.w.mu.Unlock()
	}
	return context.Cause(ctx)
}

// listen says when the camera is silent, and ends the attempt when it stays so.
func (a *attempt) listen(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w := a.w
		w.mu.Lock()
		quiet := time.Since(w.lastUnit)
		if quiet > silence {
			w.state.Problem = words(errSilent)
		}
		w.mu.Unlock()
		if quiet > stuck {
			a.end(errSilent)
		}
	}
}

// open starts a decoder for the first track that can be shown.
func (a *attempt) open(ctx context.Context, tracks []rtsp.Track) error {
	a.track = slices.IndexFunc(tracks, func(t rtsp.Track) bool {
		_, ok := liveCodec(t.Codec)
		return t.Kind == rtsp.Video && ok
	})
	if a.track < 0 {
		var other rtsp.Codec
		if i := slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Video }); i >= 0 {
			other = tracks[i].Codec
		}
		return &codecError{other}
	}
	track := tracks[a.track]
	codec, _ := liveCodec(track.Codec)
	d, err := a.w.cfg.Open(ctx, decode.Live{Codec: codec, Reorder: a.reorder})
	if err != nil {
		return fmt.Errorf("%w: %w", errDecoder, err)
	}
	a.units, a.decoder = newConverter(track), d
	a.work.Go(func() {
		err := a.pump(ctx)
		if ctx.Err() == nil {
			a.w.mu.Lock()
			a.w.state.Failures++
			a.w.mu.Unlock()
		}
		a.end(fmt.Errorf("%w: %w", errPictures, err))
	})
	return nil
}

// send hands a unit to the decoder.
func (a *attempt) send(u rtsp.Unit) {
	if a.decoder == nil || u.Track != a.track {
		return
	}
	a.w.mu.Lock()
	a.w.lastUnit = time.Now()
	a.w.mu.Unlock()
	unit, ok := a.units.convert(u)
	if !ok {
		return
	}
	if a.units.reordered && !a.reorder {
		a.end(errReordered)
		return
	}
	// An error means that the decoder has ended: pump hears why.
	_ = a.decoder.Send(unit)
}

// pump shows the newest picture whenever there is one, until the decoder ends.
func (a *attempt) pump(ctx context.Context) error {
	for {
		f, err := a.decoder.Next(ctx)
		late := 0
		for err == nil && a.decoder.Ready() > 0 {
			f.Release()
			late++
			f, err = a.decoder.Next(ctx)
		}
		if err != nil {
			return err
		}
		info, err := a.decoder.Info(ctx)
		if err != nil {
			f.Release()
			return err
		}
		a.pictures++
		w := a.w
		w.mu.Lock()
		s := &w.state
		s.LastPicture, s.Problem = time.Now(), ""
		s.Codec, s.Width, s.Height = info.Codec, info.Width, info.Height
		s.Pictures++
		s.Late += late
		s.Skipped = w.skipped + a.decoder.Skipped()
		w.mu.Unlock()
		w.cfg.Show(Picture{Image: f.Image, PTS: f.PTS, Info: info, Release: f.Release})
	}
}
