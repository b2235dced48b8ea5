package decode

import "time"

// StreamInfo describes the pictures that come out.
type StreamInfo struct {
	Codec         string // as FFmpeg calls it: "h264", "hevc", "mpeg4", "vp8", "vp9", "mjpeg"
	Width, Height int    // of the frames
	SampleAspect  [2]int // width to height of a pixel, 1:1 if unknown
	FrameRate     float64
	Duration      time.Duration // 0 for a live stream, or if unknown
	Rotation      int           // degrees clockwise by which the picture has to be turned to stand upright: 0, 90, 180 or 270
	Matrix        Matrix
	FullRange     bool // luma 0–255 instead of 16–235
}

// Matrix is how luma and chroma were made from red, green and blue.
type Matrix string

// The matrices that occur in video.
const (
	BT601  Matrix = "bt601"  // ITU-R BT.601: standard definition, JPEG
	BT709  Matrix = "bt709"  // ITU-R BT.709: high definition
	BT2020 Matrix = "bt2020" // ITU-R BT.2020, non-constant luminance
)
