package decode_test

import (
	"context"
	"errors"
	"image"
	"os"
	"syscall"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// packet returns the next packet, or fails.
func packet(t testing.TB, d *decode.Decoder) decode.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := d.NextPacket(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// vp8Size reads a key picture's head (RFC 6386 section 9.1); ok is false for any other picture.
func vp8Size(data []byte) (size image.Point, ok bool) {
	if len(data) < 10 || data[0]&1 != 0 || data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a {
		return image.Point{}, false
	}
	return image.Pt(int(data[6])|int(data[7]&0x3f)<<8, int(data[8])|int(data[9]&0x3f)<<8), true
}

// TestEncodeVP8: each picture comes out, with its time, before the next is sent; a key picture every two seconds.
func TestEncodeVP8(t *testing.T) {
	for _, codec := range []decode.Codec{decode.H264, decode.H265} {
		t.Run(string(codec), func(t *testing.T) {
			units := camera(t, codec, "5")
			d := openLive(t, decode.Live{Codec: codec}, func(o *decode.Options) {
				o.Encode, o.MaxSize = &decode.Encode{Codec: decode.VP8}, image.Pt(320, 320)
			})
			const day = 24 * time.Hour
			keys, bytes := 0, 0
			for i, u := range units {
				u.PTS += day
				if err := d.Send(u); err != nil {
					t.Fatal(err)
				}
				p := packet(t, d)
				size, key := vp8Size(p.Data)
				if p.PTS != u.PTS || key != p.Key || key && size != image.Pt(320, 180) {
					t.Fatalf("picture %d: at %v, want %v; key %v, in the picture %v; size %v", i, p.PTS, u.PTS, p.Key, key, size)
				}
				if key != (i%50 == 0) {
					t.Errorf("picture %d: key %v", i, key)
				}
				if key {
					keys++
				}
				bytes += len(p.Data)
			}
			if rate := bytes * 8 / 5; keys != 3 || rate > 2_500_000 {
				t.Errorf("%d key pictures, %d bit/s", keys, rate)
			}
		})
	}
}

// TestEncodeGOP: of pictures that come all at once only the first and the last are worth compressing.
func TestEncodeGOP(t *testing.T) {
	units := camera(t, decode.H264, "2", "-g", "50")
	d := openLive(t, decode.Live{Codec: decode.H264}, func(o *decode.Options) { o.Encode = &decode.Encode{Codec: decode.VP8} })
	for i, u := range units[:49] {
		u.PTS = time.Second + time.Duration(i)*time.Millisecond
		if err := d.Send(u); err != nil {
			t.Fatal(err)
		}
	}
	units[49].PTS = time.Second + 89*time.Millisecond
	if err := d.Send(units[49]); err != nil {
		t.Fatal(err)
	}
	got := []time.Duration{}
	for len(got) == 0 || got[len(got)-1] != units[49].PTS {
		p := packet(t, d)
		if p.Key != (len(got) == 0) {
			t.Errorf("packet %d: key %v", len(got), p.Key)
		}
		got = append(got, p.PTS)
	}
	if len(got) != 3 || got[0] != time.Second {
		t.Errorf("pictures at %v", got)
	}
	if d.Skipped() != 0 {
		t.Errorf("%d units were skipped", d.Skipped())
	}
}

// TestEncodeReordered: a camera with B-frames that others refer to. What comes out is in order and loses nothing.
func TestEncodeReordered(t *testing.T) {
	units := camera(t, decode.H264, "2", "-tune", "film", "-bf", "3", "-g", "50", "-x264-params", "aud=1:scenecut=0:b-pyramid=normal:b-adapt=0")
	// I P B b b P B b b …
	at := map[int]int{}
	for i := 1; i < len(units); i += 4 {
		for k, shown := range []int{3, 1, 0, 2} {
			at[i+k] = i + shown
		}
	}
	d := openLive(t, decode.Live{Codec: decode.H264, Reorder: true}, func(o *decode.Options) { o.Encode = &decode.Encode{Codec: decode.VP8} })
	for i := range units[:49] {
		units[i].PTS = time.Duration(at[i]) * 40 * time.Millisecond
		if err := d.Send(units[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		if p := packet(t, d); p.PTS != time.Duration(i)*40*time.Millisecond {
			t.Fatalf("picture %d at %v", i, p.PTS)
		}
	}
}

// aacUnits are 20 s of AAC, 16 kHz mono.
func aacUnits(t testing.TB) []decode.Unit {
	t.Helper()
	// ADTS (ISO/IEC 14496-3 section 1.A.2); the AudioSpecificConfig is AAC LC, rate 8, one channel.
	data := read(t, decodetest.Clip(t, "a.aac", "-f", "lavfi", "-i", "sine=f=440:r=16000:d=20", "-c:a", "aac", "-b:a", "48k"))
	var units []decode.Unit
	for len(data) > 7 {
		size := int(data[3]&3)<<11 | int(data[4])<<3 | int(data[5])>>5
		units = append(units, decode.Unit{PTS: time.Hour + time.Duration(len(units))*64*time.Millisecond, Key: true, Data: [][]byte{data[7:size]}})
		data = data[size:]
	}
	return units
}

// TestEncodeOpus: AAC and G.711 become 20 ms packets whose times are those of what went in.
func TestEncodeOpus(t *testing.T) {
	aac := aacUnits(t)
	raw := read(t, decodetest.Clip(t, "a.al", "-f", "lavfi", "-i", "sine=f=440:r=8000:d=3", "-c:a", "pcm_alaw", "-f", "alaw"))
	var alaw []decode.Unit
	for at := 0; at+160 <= len(raw); at += 160 {
		alaw = append(alaw, decode.Unit{PTS: time.Hour + time.Duration(at)*time.Second/8000, Key: true, Data: [][]byte{raw[at : at+160]}})
	}
	for name, c := range map[string]struct {
		live  decode.Live
		units []decode.Unit
	}{
		"AAC":   {decode.Live{Codec: decode.AAC, SampleRate: 16000, Channels: 1, Config: []byte{0x14, 0x08}}, aac},
		"A-law": {decode.Live{Codec: decode.PCMA, SampleRate: 8000, Channels: 1}, alaw},
	} {
		t.Run(name, func(t *testing.T) {
			d := openLive(t, c.live, func(o *decode.Options) { o.Encode = &decode.Encode{Codec: decode.Opus} })
			last, n := time.Duration(0), 0
			for i, u := range c.units {
				if err := d.Send(u); err != nil {
					t.Fatal(err)
				}
				// Not all at once: a child that is far behind skips.
				for i%10 == 9 && last < u.PTS-200*time.Millisecond {
					p := packet(t, d)
					if !p.Key || len(p.Data) == 0 || len(p.Data) > 1200 {
						t.Fatalf("packet %d: key %v, %d bytes", n, p.Key, len(p.Data))
					}
					if step := p.PTS - last; n > 0 && (step < 19*time.Millisecond || step > 21*time.Millisecond) {
						t.Fatalf("packet %d comes %v after the one before", n, step)
					}
					if off := p.PTS - time.Hour; n == 0 && (off < -30*time.Millisecond || off > 30*time.Millisecond) {
						t.Fatalf("the first packet is %v off", off)
					}
					last = p.PTS
					n++
				}
			}
			if n < 100 {
				t.Errorf("%d packets of 3 s", n)
			}
		})
	}
}

func TestEncodeDies(t *testing.T) {
	units := camera(t, decode.H264, "1")
	d := openLive(t, decode.Live{Codec: decode.H264}, func(o *decode.Options) { o.Encode = &decode.Encode{Codec: decode.VP8} })
	if err := d.Send(units[0]); err != nil {
		t.Fatal(err)
	}
	packet(t, d)
	if err := syscall.Kill(childPID(t, os.Getpid()), syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	if _, err := d.NextPacket(t.Context()); !errors.Is(err, decode.ErrCrashed) {
		t.Error(err)
	}
}

func TestBadEncode(t *testing.T) {
	bin := decodetest.Binary(t)
	for name, o := range map[string]decode.Options{
		"no stream":         {Encode: &decode.Encode{Codec: decode.VP8}},
		"sound to picture":  {Live: &decode.Live{Codec: decode.AAC, SampleRate: 16000, Channels: 1}, Encode: &decode.Encode{Codec: decode.VP8}},
		"picture to sound":  {Live: &decode.Live{Codec: decode.H264}, Encode: &decode.Encode{Codec: decode.Opus}},
		"unknown":           {Live: &decode.Live{Codec: decode.H264}, Encode: &decode.Encode{Codec: decode.H265}},
		"sound without":     {Live: &decode.Live{Codec: decode.PCMU}, Encode: &decode.Encode{Codec: decode.Opus}},
		"negative bit rate": {Live: &decode.Live{Codec: decode.H264}, Encode: &decode.Encode{Codec: decode.VP8, BitRate: -1}},
	} {
		o.Binary = bin
		if d, err := decode.Open(t.Context(), o); err == nil {
			d.Close()
			t.Errorf("%s: opened", name)
		}
	}
}
