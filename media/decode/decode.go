// Package decode turns compressed video into frames, in a child process that has nothing to lose.
//
// Every item (a file, a live camera) gets a decoder of its own: the static ffmpeg of overlays/decoder, started with a
// limit on its memory, no network, no files but the item and no way to start programs (see Restrictions). A
// damaged or hostile item can crash it, hang it or fill its memory: that costs the item, and Next says what happened.
//
// The child is started through the program itself: main must call Child before anything else.
package decode

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxMemory    = 512 << 20
	DefaultMaxPixels    = 4096 * 2304
	DefaultFrameTimeout = 10 * time.Second
	DefaultFrames       = 4
)

// Options say what to decode and what it may cost. Binary and either File or Live are required.
type Options struct {
	Binary string // path of the ffmpeg that overlays/decoder builds
	// Libraries are folders that the child may read besides, for a Binary that is not static, as on a developer's machine. Such a
	// one is a common ffmpeg: its pictures come through a pipe, which costs about a third more than shared memory.
	Libraries []string

	File *os.File // a regular file, open for reading; it may be closed once Open has returned
	Live *Live    // a stream of access units, fed through Send

	// Encode makes the child compress what it decodes: NextPacket then takes the place of Next, and Info and Frames have no meaning.
	Encode *Encode

	// Start is where in a file decoding begins: with the last key picture before it, whose PTS is then near 0.
	Start time.Duration

	MaxSize image.Point // larger pictures are scaled down to fit, keeping their aspect; zero: as they are

	MaxMemory    int64         // bytes of address space of the child; 0: DefaultMaxMemory
	MaxPixels    int           // pixels of a coded picture, larger ones are refused; 0: DefaultMaxPixels
	FrameTimeout time.Duration // how long the child may take for a frame before it counts as hung; 0: DefaultFrameTimeout
	Timeout      time.Duration // for the whole item, paused or not; 0: no limit
	Threads      int           // decoding threads; 0: as many as processors for a file, one for a live stream

	Frames int // how many frames exist at once, handed out or waiting, at most 255; 0: DefaultFrames
}

// Frame is one picture. It belongs to the caller until Release.
type Frame struct {
	Image *image.YCbCr  // 4:2:0; colours as StreamInfo says, not always as the image package assumes
	PTS   time.Duration // a file's first picture is near 0; a live stream has the times given to Send

	owner *Decoder
}

// Release gives the buffer back to the decoder. The frame must not be used afterwards; a second call does nothing.
func (f *Frame) Release() {
	if f == nil || f.owner == nil {
		return
	}
	if f.owner.shared != nil {
		f.owner.shared.release(f.Image)
	} else {
		f.owner.free <- f.Image // never blocks: it has room for every buffer there is
	}
	f.owner, f.Image = nil, nil
}

// Decoder decodes one item. Next and Info are for one goroutine; all other methods may be called by any.
type Decoder struct {
	opts  Options
	child *child
	log   *log
	feed  *feed // nil for a file

	packets chan Packet // nil unless the child encodes

	frames chan *Frame
	shared *shared // nil where pictures come through a pipe: then those below
	free   chan *image.YCbCr
	spare  int // buffers that may still be allocated; only the frame reader uses it

	infoReady chan struct{}
	info      StreamInfo // set before infoReady is closed

	hung, timedOut atomic.Bool
	starved        atomic.Bool // the frame reader waits for a buffer: all are with the caller

	stop context.CancelFunc
	done chan struct{} // closed when the child and all goroutines but the watcher are gone
	err  error         // why there are no more frames; set before done is closed
	wg   sync.WaitGroup
}

// Open starts the decoder. It does not wait for the first frame. When ctx ends, so does the decoder.
// An error means that the child could not be started, which is not the item's fault.
func Open(ctx context.Context, opts Options) (*Decoder, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("open decoder: %w", err)
	}
	mem, err := opts.memory()
	if err != nil {
		return nil, fmt.Errorf("open decoder: %w", err)
	}
	c, err := startChild(ctx, opts, mem)
	if err != nil {
		if mem != nil {
			mem.close()
		}
		return nil, fmt.Errorf("open decoder: %w", err)
	}
	d := &Decoder{
		opts: opts, child: c, log: newLog(), shared: mem, spare: opts.Frames,
		frames: make(chan *Frame, opts.Frames), free: make(chan *image.YCbCr, opts.Frames),
		infoReady: make(chan struct{}), done: make(chan struct{}),
	}
	ctx, d.stop = context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { d.log.read(c.stderr) })
	if opts.Live != nil {
		d.feed = newFeed(*opts.Live)
		work.Go(func() { d.feed.run(ctx, c.input) })
	}
	d.wg.Go(func() { d.watch(ctx) })
	read := d.readFrames
	if opts.Encode != nil {
		d.packets, read = make(chan Packet, packetQueue), d.readPackets
	}
	d.wg.Go(func() {
		err := read(ctx)
		d.bury(err)
		if c.input != nil {
			c.input.Close()
		}
		<-c.exited
		if d.feed != nil {
			d.feed.close()
		}
		work.Wait()
		c.stdout.Close()
		c.stderr.Close()
		if mem != nil {
			mem.close()
		}
		d.err = d.verdict(ctx, err)
		close(d.done)
		close(d.frames)
		if d.packets != nil {
			close(d.packets)
		}
	})
	return d, nil
}

// bury waits for the end of a child that has closed its output, and ends one that is still talking.
func (d *Decoder) bury(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		timer := time.NewTimer(d.opts.FrameTimeout)
		defer timer.Stop()
		select {
		case <-d.child.exited:
			return
		case <-timer.C:
		}
	}
	d.child.kill()
}

// watch kills the child when the decoder is closed or the item's time is up.
func (d *Decoder) watch(ctx context.Context) {
	var timeUp <-chan time.Time
	if d.opts.Timeout > 0 {
		timer := time.NewTimer(d.opts.Timeout)
		defer timer.Stop()
		timeUp = timer.C
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		d.child.kill()
	case <-timeUp:
		d.timedOut.Store(true)
		d.stop()
		d.child.kill()
	}
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.MaxPixels == 0 {
		o.MaxPixels = DefaultMaxPixels
	}
	if o.Frames == 0 {
		o.Frames = DefaultFrames
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.FrameTimeout == 0 {
		o.FrameTimeout = DefaultFrameTimeout
	}
	if o.Threads == 0 && o.Live != nil {
		o.Threads = 1
	}
	return o
}

// pictureLimit is how many bytes a picture may have.
func (o Options) pictureLimit() int { return o.MaxPixels*3/2 + 1<<16 }

// memory makes what pictures are handed over in; nil where they go through a pipe.
func (o Options) memory() (*shared, error) {
	if o.Encode != nil || len(o.Libraries) > 0 {
		return nil, nil
	}
	return newShared(o.Frames, o.pictureLimit())
}

func (o Options) check() error {
	switch {
	case o.Binary == "":
		return errors.New("no decoder program given")
	case (o.File == nil) == (o.Live == nil):
		return errors.New("either a file or a live stream is needed")
	case o.MaxMemory < 0 || o.MaxPixels < 0 || o.Frames < 0 || o.Threads < 0 || o.FrameTimeout < 0 || o.Timeout < 0 || o.Start < 0 ||
		o.MaxSize.X < 0 || o.MaxSize.Y < 0:
		return errors.New("a limit is negative")
	case o.Frames > maxSlots:
		return fmt.Errorf("more than %d frames", maxSlots)
	case o.Start > 0 && o.Live != nil:
		return errors.New("a live stream has no place to start from")
	case o.Encode != nil:
		return o.Encode.check(o.Live)
	case o.File != nil:
		st, err := o.File.Stat()
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", o.File.Name())
		}
	}
	return nil
}

// Next returns the next frame, waiting for it if need be: while all frames are with the caller, until one is released. The end of a file is io.EOF; after any error but that of ctx the item is over.
// What is the item's fault is an *Error of one of the kinds ErrUnsupported, ErrDamaged and so on.
func (d *Decoder) Next(ctx context.Context) (*Frame, error) {
	return next(ctx, d, d.frames)
}

func next[T any](ctx context.Context, d *Decoder, from <-chan T) (T, error) {
	timer := time.NewTimer(d.opts.FrameTimeout)
	defer timer.Stop()
	var none T
	for {
		select {
		case v, ok := <-from:
			if !ok {
				return none, d.err
			}
			return v, nil
		case <-ctx.Done():
			return none, ctx.Err()
		case <-timer.C:
			if wait := d.patience(); wait > 0 {
				timer.Reset(wait)
				continue
			}
			d.hung.Store(true)
			d.stop()
		}
	}
}

// patience is how much longer the child may take: as long as nothing goes in, or nothing can come out, it is not to blame.
func (d *Decoder) patience() time.Duration {
	if d.shared != nil {
		if wait := d.shared.patience(d.opts.FrameTimeout); wait > 0 {
			return wait
		}
	}
	switch {
	case d.starved.Load():
		return d.opts.FrameTimeout
	case d.feed != nil:
		return d.feed.patience(d.opts.FrameTimeout)
	}
	return 0
}

// Ready is how many frames Next would return without waiting. A live view that has fallen behind skips all but the last.
func (d *Decoder) Ready() int { return len(d.frames) }

// Info waits for the first frame and describes the stream. Its errors are those of Next.
func (d *Decoder) Info(ctx context.Context) (StreamInfo, error) {
	timer := time.NewTimer(d.opts.FrameTimeout)
	defer timer.Stop()
	for {
		select {
		case <-d.infoReady:
			return d.info, nil
		case <-ctx.Done():
			return StreamInfo{}, ctx.Err()
		case <-d.done:
			select {
			case <-d.infoReady:
				return d.info, nil
			default:
				return StreamInfo{}, d.err
			}
		case <-timer.C:
			if wait := d.patience(); wait > 0 {
				timer.Reset(wait)
				continue
			}
			d.hung.Store(true)
			d.stop()
		}
	}
}

// Input is what the child has said of the file so far: all once Info has returned or Next has failed.
func (d *Decoder) Input() Input { return d.log.input() }

// Send hands the next access unit of a live stream to the decoder and never waits: a decoder that cannot keep up skips to the
// next key picture. The data is not used after Send has returned. Sending to a file's decoder, or to one that has ended, is an error.
func (d *Decoder) Send(u Unit) error {
	if d.feed == nil {
		return errors.New("send to decoder: it decodes a file")
	}
	select {
	case <-d.done:
		return fmt.Errorf("send to decoder: it has ended: %w", d.err)
	default:
		return d.feed.send(u)
	}
}

// Skipped is how many access units of a live stream were left out because the decoder could not keep up or because
// no key picture had come yet.
func (d *Decoder) Skipped() int {
	if d.feed == nil {
		return 0
	}
	return d.feed.skippedUnits()
}

// Restrictions says what the child was denied and what this kernel was unable to deny it.
func (d *Decoder) Restrictions() Restrictions { return d.child.restrictions }

// Close ends the child and waits until nothing of it is left. Frames that were handed out stay valid and may be released later;
// those that were not are lost.
func (d *Decoder) Close() error {
	d.stop()
	d.wg.Wait()
	for f := range d.frames {
		f.Release()
	}
	return nil
}
