package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"porthole/media/decode/nut"
)

const (
	// packetQueue is how many packets wait for NextPacket before the child has to.
	packetQueue = 64
	// maxPacket bounds a compressed picture: one of 1280×720 that is not compressed at all has 1.4 MB.
	maxPacket = 2 << 20
	// opusBitRate is transparent for speech and good for anything else that a camera's microphone hears.
	opusBitRate = 64000
)

// Encode says what a live stream is converted to, fast enough for live pictures.
type Encode struct {
	// Codec is VP8 for pictures, with a key picture every two seconds and at most 40 pictures a second, or Opus for sound.
	Codec Codec
	// BitRate is of VP8, in bits per second; 0: 1.5 Mbit/s.
	BitRate int
}

// Packet is one compressed picture, or 20 ms of sound.
type Packet struct {
	PTS  time.Duration // as given to Send
	Key  bool          // decoding can start here
	Data []byte
}

func (e *Encode) check(live *Live) error {
	switch {
	case live == nil:
		return errors.New("only a live stream can be converted")
	case e.Codec != VP8 && e.Codec != Opus:
		return fmt.Errorf("cannot convert to %q", e.Codec)
	case live.Codec.sound() != e.Codec.sound():
		return errors.New("sound cannot become pictures, nor pictures sound")
	case live.Codec.sound() && (live.SampleRate <= 0 || live.Channels <= 0):
		return errors.New("sound needs a sample rate and channels")
	case e.BitRate < 0:
		return errors.New("a limit is negative")
	}
	return nil
}

// NextPacket returns the next packet of a decoder with Encode, waiting for it if need be. Its errors are those of Next.
func (d *Decoder) NextPacket(ctx context.Context) (Packet, error) { return next(ctx, d, d.packets) }

// readPackets reads packets from the child until it ends, fails or is killed. The end of the stream is io.EOF.
func (d *Decoder) readPackets(ctx context.Context) error {
	r, err := nut.NewReader(d.child.stdout, maxPacket)
	if err != nil {
		return err
	}
	want := d.opts.Encode.Codec
	if s := r.Streams(); len(s) != 1 || string(s[0].FourCC[:]) != string(want) {
		return fmt.Errorf("%w: not one stream of %s", nut.ErrFormat, want)
	}
	stream := r.Streams()[0]
	for {
		p, err := r.Next()
		if err != nil {
			return err
		}
		data := make([]byte, p.Size)
		if _, err := io.ReadFull(r, data); err != nil {
			return err
		}
		d.feed.frameOut()
		// Nobody has to hurry to take it.
		d.starved.Store(len(d.packets) == cap(d.packets))
		select {
		case d.packets <- Packet{PTS: stream.TimeBase.Duration(p.PTS), Key: p.Key, Data: data}:
		case <-ctx.Done():
			return ctx.Err()
		}
		d.starved.Store(false)
	}
}

// encoding is the second half of ffmpeg's command line.
func (opts Options) encoding() []string {
	args := []string{"-map_metadata", "-1", "-map_chapters", "-1"}
	if opts.Encode.Codec == Opus {
		args = append(args, "-map", "0:a:0", "-af", "aresample=48000,aformat=channel_layouts=mono|stereo",
			"-c:a", "libopus", "-b:a", strconv.Itoa(opusBitRate), "-frame_duration", "20", "-application", "audio")
	} else {
		rate := opts.Encode.BitRate
		if rate == 0 {
			rate = 1_500_000
		}
		args = append(args, "-map", "0:V:0",
			// A cached GOP comes with its pictures 1 ms apart: only the first is worth compressing.
			"-vf", "select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.025)',"+opts.scaling()+"format=yuv420p",
			"-fps_mode", "passthrough", "-enc_time_base", "1:90000",
			// A negative speed is a fixed one; with others libvpx takes up to half a processor because it is there. Its threads
			// wait for each other in loops: on a busy machine two cost four times the processor time of one.
			"-c:v", "libvpx", "-threads:v", "1", "-deadline", "realtime", "-cpu-used", "-8", "-lag-in-frames", "0", "-auto-alt-ref", "0",
			"-b:v", strconv.Itoa(rate), "-maxrate", strconv.Itoa(rate*3/2), "-bufsize", strconv.Itoa(rate), "-qmin", "4", "-qmax", "60",
			"-g", "600", "-force_key_frames", "expr:isnan(prev_forced_t)+gte(t,prev_forced_t+2)")
	}
	return append(args, "-f", "nut", "-write_index", "0", "-flush_packets", "1", "pipe:1")
}
