package decode

// Live describes a live stream. Its pictures come out as soon as they are complete.
type Live struct {
	Codec         Codec
	Width, Height int // of the picture if known, else 0
	// Reorder is for cameras with B-frames: pictures are put in order, which delays them by as many as the stream says.
	Reorder bool

	SampleRate, Channels int // of sound
	// Config is what AAC's frames do not say themselves: the AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1).
	Config []byte
}

// Codec is a codec of a live stream.
type Codec string

// The codecs of live streams. H.264, H.265 and MPEG-4 have their parameter sets in band. The names of pictures are as in AVI and MOV,
// those of sound as in WAVE (two bytes, little endian).
const (
	H264  Codec = "H264"
	H265  Codec = "HEVC"
	MJPEG Codec = "MJPG"
	MPEG4 Codec = "mp4v"
	VP8   Codec = "VP80"
	VP9   Codec = "VP90"

	AAC  Codec = "\xff\x00\x00\x00"
	PCMA Codec = "\x06\x00\x00\x00"
	PCMU Codec = "\x07\x00\x00\x00"
	Opus Codec = "Opus"
)

// sound says whether it is a codec of sound, not of pictures.
func (c Codec) sound() bool { return c == AAC || c == PCMA || c == PCMU || c == Opus }
