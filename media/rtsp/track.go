package rtsp

import (
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"
)

// errLATM is a packet of AAC that holds no frame we understand.
var errLATM = errors.New("no AAC frame in it")

func trackOf(m *description.Media, f format.Format) Track {
	t := Track{Kind: kindOf(m), Codec: codecOf(f), ClockRate: f.ClockRate()}
	if t.Kind == Audio {
		t.Channels = channelsOf(f)
	}
	switch f := f.(type) {
	case *format.H264:
		t.SPS, t.PPS = f.SPS, f.PPS
		var sps h264.SPS
		if sps.Unmarshal(f.SPS) == nil {
			t.Width, t.Height, t.InOrder = sps.Width(), sps.Height(), h264InOrder(&sps)
		}
	case *format.H265:
		t.VPS, t.SPS, t.PPS = f.VPS, f.SPS, f.PPS
		var sps h265.SPS
		if sps.Unmarshal(f.SPS) == nil {
			n := len(sps.MaxNumReorderPics)
			t.Width, t.Height, t.InOrder = sps.Width(), sps.Height(), n > 0 && sps.MaxNumReorderPics[n-1] == 0
		}
	case *format.MJPEG:
		t.InOrder = true
	case *format.MPEG4Video:
		t.Config = f.Config
	case *format.MPEG4Audio:
		t.Config = audioConfig(f.Config)
	case *format.MPEG4AudioLATM:
		if c := layerOf(f); c != nil {
			t.Config = audioConfig(c)
		}
	}
	return t
}

// h264InOrder reports whether an SPS excludes that pictures are reordered (ITU-T H.264 sections A.2.1, 7.4.2.1.1 and E.2.1).
func h264InOrder(sps *h264.SPS) bool {
	const baseline = 66
	return sps.ProfileIdc == baseline || sps.PicOrderCntType == 2 ||
		sps.VUI != nil && sps.VUI.BitstreamRestriction != nil && sps.VUI.BitstreamRestriction.MaxNumReorderFrames == 0
}

// audioConfig returns nil for what cannot be written.
func audioConfig(c *mpeg4audio.AudioSpecificConfig) []byte {
	if c == nil {
		return nil
	}
	b, err := c.Marshal()
	if err != nil {
		return nil
	}
	return b
}

// layerOf is the only layer of a LATM stream that describes itself outside of its packets; nil for any other.
func layerOf(f *format.MPEG4AudioLATM) *mpeg4audio.AudioSpecificConfig {
	c := f.StreamMuxConfig
	if f.CPresent || c == nil || len(c.Programs) != 1 || len(c.Programs[0].Layers) != 1 {
		return nil
	}
	return c.Programs[0].Layers[0].AudioSpecificConfig
}

// units makes units of a track's packets.
type units struct {
	track int
	// decode returns an access unit when it is complete; nil for formats that are passed on packet by packet.
	decode func(*rtp.Packet) ([][]byte, error)
	// whole returns a picture when it is complete, for formats whose pictures are in one piece.
	whole func(*rtp.Packet) ([]byte, error)
	// sound returns the frames of AAC.
	sound func(*rtp.Packet) ([][]byte, error)

	// pending says that packets since the last unit belong to one with this time.
	pending bool
	ts      uint32
	date    time.Time
}

func newUnits(track int, f format.Format) (*units, error) {
	u := &units{track: track}
	var err error
	switch f := f.(type) {
	case *format.H264:
		d, e := f.CreateDecoder()
		err, u.decode = e, d.Decode
	case *format.H265:
		d, e := f.CreateDecoder()
		err, u.decode = e, d.Decode
	case *format.MJPEG:
		d, e := f.CreateDecoder()
		err, u.whole = e, d.Decode
	case *format.MPEG4Video:
		d, e := f.CreateDecoder()
		err, u.whole = e, d.Decode
	case *format.MPEG4Audio:
		d, e := f.CreateDecoder()
		err, u.sound = e, d.Decode
	case *format.MPEG4AudioLATM:
		if layerOf(f) != nil {
			u.sound, err = latm(f)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", codecOf(f), err)
	}
	return u, nil
}

// latm reads AudioMuxElements (ISO/IEC 14496-3 table 1.41).
func latm(f *format.MPEG4AudioLATM) (func(*rtp.Packet) ([][]byte, error), error) {
	d, err := f.CreateDecoder()
	if err != nil {
		return nil, err
	}
	return func(pkt *rtp.Packet) ([][]byte, error) {
		b, err := d.Decode(pkt)
		if err != nil {
			return nil, err
		}
		e := mpeg4audio.AudioMuxElement{StreamMuxConfig: f.StreamMuxConfig}
		if err := e.Unmarshal(b); err != nil {
			return nil, err
		}
		var frames [][]byte
		for _, sub := range e.Payloads {
			if len(sub) != 1 || len(sub[0]) != 1 {
				return nil, errLATM
			}
			frames = append(frames, sub[0][0])
		}
		return frames, nil
	}, nil
}
