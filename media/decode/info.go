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

// Input is what a file says of itself, before anything is decoded or scaled. What it does not say is zero.
type Input struct {
	Demuxer       string // as FFmpeg calls it: "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", …
	Codec         string // of the pictures; also one that this decoder has no decoder for, "none" for one that nobody knows
	Profile       string // "High", "Main 10", …
	PixelFormat   string // "yuv420p", "yuv420p10le", …
	BitDepth      int    // of a sample
	Alpha         bool   // there is transparency, in the pictures or beside them
	Width, Height int    // coded, before rotation
	SampleAspect  [2]int // width to height of a pixel, 1:1 if unknown
	FrameRate     float64
	Duration      time.Duration
	Rotation      int    // as StreamInfo.Rotation
	Audio         string // codec of the first sound
}
