package live_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/signaling/live"
)

// mpeg4 is a camera's picture that no browser plays; pion's own client offers even H.265.
var mpeg4 = rtsp.Track{Kind: rtsp.Video, Codec: rtsp.MPEG4, ClockRate: 90000, Config: []byte{0, 0, 1, 0xb0, 1}}

// workshop makes converters that give back what they are sent.
type workshop struct {
	opened, open atomic.Int32

	mu      sync.Mutex
	options decode.Options // guarded by mu: of the last one
	last    *echo          // guarded by mu
}

func (w *workshop) convert(_ context.Context, o decode.Options) (live.Converter, error) {
	w.opened.Add(1)
	w.open.Add(1)
	e := &echo{shop: w, packets: make(chan decode.Packet, 1000), died: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.options = e, o
	return e, nil
}

// crash ends the last converter.
func (w *workshop) crash() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.last.died)
}

type echo struct {
	shop    *workshop
	packets chan decode.Packet
	died    chan struct{}
}

func (e *echo) Send(u decode.Unit) error {
	data := u.Data[len(u.Data)-1]
	e.packets <- decode.Packet{PTS: u.PTS, Key: u.Key, Data: data}
	return nil
}

func (e *echo) NextPacket(ctx context.Context) (decode.Packet, error) {
	select {
	case p := <-e.packets:
		return p, nil
	case <-e.died:
		return decode.Packet{}, errors.New("it crashed")
	case <-ctx.Done():
		return decode.Packet{}, ctx.Err()
	}
}

func (e *echo) Close() error {
	e.shop.open.Add(-1)
	return nil
}

// still is an MPEG-4 picture with a number.
func still(key bool, number byte) rtsp.Unit {
	kind := byte(1 << 6)
	if key {
		kind = 0
	}
	return rtsp.Unit{RTPTime: uint32(number) * 3600, Payload: []byte{0, 0, 1, 0xb6, kind, number}}
}

// number returns the number of the next converted picture that arrives.
func (b *browser) number() byte {
	b.t.Helper()
	select {
	case p := <-b.packets:
		// A VP8 payload descriptor of one byte (RFC 7741 section 4.2), then what still made.
		if len(p.Payload) != 7 || p.Payload[0] != 0x10 || !p.Marker {
			b.t.Fatalf("packet %x", p.Payload)
		}
		return p.Payload[6]
	case <-time.After(deadline):
		b.t.Fatal("no picture arrives")
		return 0
	}
}

func (b *browser) gets(numbers ...byte) {
	b.t.Helper()
	for _, want := range numbers {
		if got := b.number(); got != want {
			b.t.Fatalf("picture %d arrives, want %d", got, want)
		}
	}
}

// One conversion serves all viewers of a camera, starts each of them at once, and outlives its decoder.
func TestConversion(t *testing.T) {
	camera, shop := newFakeCamera(mpeg4), &workshop{}
	s := serve(t, camera, func(c *live.Config) { c.Convert = shop.convert })
	one := newBrowser(t)
	v := one.watch(s, "door")
	if !strings.Contains(v.Answer, "VP8/90000") {
		t.Fatalf("the answer has no VP8:\n%s", v.Answer)
	}
	if e := event(t, v); e.Code != "transcoded" || !strings.Contains(e.Message, "MPEG-4") {
		t.Errorf("told %+v", e)
	}
	for i := range byte(3) {
		camera.send(still(i == 0, i))
	}
	one.gets(0, 1, 2)

	two := newBrowser(t)
	two.watch(s, "door")
	two.gets(0, 1, 2)
	camera.send(still(false, 3))
	one.gets(3)
	two.gets(3)
	if n := shop.opened.Load(); n != 1 {
		t.Errorf("%d conversions of one camera", n)
	}
	shop.mu.Lock()
	if o := shop.options; o.Live.Codec != decode.MPEG4 || o.Encode.Codec != decode.VP8 || o.MaxSize.X != 1280 || o.MaxSize.Y != 720 {
		t.Errorf("options %+v", o)
	}
	shop.mu.Unlock()

	// A decoder that lost its way gets the GOP again.
	pli := []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(two.pc.GetReceivers()[0].Track().SSRC())}}
	eventually(t, "the GOP comes again", func() bool {
		if err := two.pc.WriteRTCP(pli); err != nil {
			t.Fatal(err)
		}
		return len(two.packets) > 0
	})
	two.gets(0, 1, 2, 3)

	// Another child takes over from the key picture on.
	shop.crash()
	one.gets(0, 1, 2, 3)
	camera.send(still(false, 4))
	one.gets(4)
	if n := shop.opened.Load(); n != 2 {
		t.Errorf("%d children after a crash", n)
	}
}

// B-frames that others refer to: who watches already is told to come again, and is converted then.
func TestBFramesAreConverted(t *testing.T) {
	camera, shop := newFakeCamera(h264), &workshop{}
	s := serve(t, camera, func(c *live.Config) { c.Convert = shop.convert })
	sendAll := make(chan struct{})
	go func() {
		defer close(sendAll)
		for i, at := range []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} {
			camera.send(picture(i == 0, byte(i), at*3600))
		}
	}()
	first := newBrowser(t)
	v := first.watch(s, "door")
	<-sendAll
	if shop.opened.Load() != 0 || !strings.Contains(v.Answer, "H264") {
		t.Error("a camera without B-frames is converted")
	}
	// Disposable ones are left out.
	b := picture(false, 21, 12*3600)
	b.NALUs[0][0] = 0x01
	camera.send(picture(false, 20, 13*3600))
	camera.send(b)
	camera.send(picture(false, 22, 14*3600))
	for n := byte(0); n != 22; {
		if n = first.picture().number; n == 21 {
			t.Error("a picture that comes late was sent")
		}
	}
	// Others cannot be.
	camera.send(picture(false, 31, 17*3600))
	camera.send(picture(false, 32, 16*3600))
	select {
	case <-v.Done():
	case <-time.After(deadline):
		t.Fatal("the viewer goes on")
	}
	var refusal *live.Refusal
	if err := v.Err(); !errors.As(err, &refusal) || refusal.Reason != live.Changed {
		t.Errorf("it ended with %v", err)
	}
	second := newBrowser(t).watch(s, "door")
	if e := event(t, second); e.Code != "transcoded" || !strings.Contains(e.Message, "B-frames") {
		t.Errorf("told %+v", e)
	}
	shop.mu.Lock()
	if !shop.options.Live.Reorder {
		t.Error("the decoder is not told of B-frames")
	}
	shop.mu.Unlock()
}

// AAC is converted for those who can hear it.
func TestSoundIsConverted(t *testing.T) {
	track := aac
	track.Config = []byte{0x14, 0x08}
	camera, shop := newFakeCamera(h264, track), &workshop{}
	s := serve(t, camera, func(c *live.Config) { c.Convert = shop.convert })
	go func() {
		for i := range 12 {
			camera.send(picture(i == 0, byte(i), uint32(i)*3600))
		}
	}()
	newBrowser(t).watch(s, "door")
	if shop.opened.Load() != 0 {
		t.Error("sound is converted for somebody who asked for none")
	}
	b := newBrowser(t, webrtc.RTPCodecTypeAudio)
	v := b.watch(s, "door")
	if e := event(t, v); e.Code != "sound-transcoded" || !strings.Contains(e.Message, "AAC") || !strings.Contains(v.Answer, "opus/48000/2") {
		t.Errorf("told %+v, the answer is %s", e, v.Answer)
	}
	n := 0
	eventually(t, "sound", func() bool {
		camera.send(rtsp.Unit{Track: 1, RTPTime: uint32(2048 * n), Frames: [][]byte{{byte(n), 0}, {byte(n), 1}}})
		n++
		return len(b.audio) >= 4
	})
	// Two frames of 64 ms each.
	last := <-b.audio
	for range 3 {
		p := <-b.audio
		if p.Timestamp-last.Timestamp != 64*48 || len(p.Payload) != 2 {
			t.Errorf("%x follows %d ticks behind %x", p.Payload, p.Timestamp-last.Timestamp, last.Payload)
		}
		last = p
	}
	shop.mu.Lock()
	if o := shop.options; o.Live.Codec != decode.AAC || o.Live.SampleRate != 16000 || o.Encode.Codec != decode.Opus {
		t.Errorf("options %+v, %+v", o.Live, o.Encode)
	}
	shop.mu.Unlock()
}

// Only so many cameras are converted at once. One that nobody watches any more makes room.
func TestConversionsAreLimited(t *testing.T) {
	camera, shop := newFakeCamera(mpeg4), &workshop{}
	s := serve(t, camera, func(c *live.Config) { c.Convert, c.Conversions = shop.convert, 2 })
	s.SetCameras([]string{"door", "garden", "attic"})
	newBrowser(t).watch(s, "door")
	v := newBrowser(t).watch(s, "garden")
	_, err := s.Watch(t.Context(), "attic", newBrowser(t).offer)
	var refusal *live.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != live.Busy || !strings.Contains(refusal.Message, "2 cameras are being converted") {
		t.Errorf("a third: %v", err)
	}
	v.Close()
	newBrowser(t).watch(s, "attic")
	eventually(t, "the one that nobody watches ends", func() bool { return shop.open.Load() == 2 })
}
