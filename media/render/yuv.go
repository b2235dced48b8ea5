package render

import (
	"encoding/binary"
	"image"
	"runtime"
	"sync"
)

// Matrix is how luma and chroma of a video were made from red, green and blue. Values are those of media/decode.
type Matrix string

// The matrices that occur in video.
const (
	BT601  Matrix = "bt601"
	BT709  Matrix = "bt709"
	BT2020 Matrix = "bt2020" // non-constant luminance
)

// weights are the shares of red and blue in luma: ITU-R BT.601-7 section 2.5.1, BT.709-6 item 3.2, BT.2020-2 table 4.
func (m Matrix) weights() (kr, kb float64) {
	switch m {
	case BT709:
		return 0.2126, 0.0722
	case BT2020:
		return 0.2627, 0.0593
	}
	return 0.299, 0.114
}

// Converter turns 4:2:0 video frames into pixels. It may be used by several goroutines at once.
type Converter struct {
	luma            [256]int32 // all in 1/65536, luma with 0.5 for rounding
	redCr, greenCr  [256]int32
	greenCb, blueCb [256]int32
	clamp           [1024]uint8 // by value + 384
}

// column says for one column of the destination which columns of the source it is made of.
type column struct {
	x, next int32 // luma columns
	chroma  int32
	weight  uint32 // of next, of 256
}

// NewConverter makes a converter for video of one kind.
func NewConverter(m Matrix, fullRange bool) *Converter {
	kr, kb := m.weights()
	kg := 1 - kr - kb
	black, lumaRange, chromaRange := 16.0, 219.0, 224.0
	if fullRange {
		black, lumaRange, chromaRange = 0, 255, 255
	}
	c := &Converter{}
	const one = 65536
	for i := range 256 {
		y := (float64(i) - black) * 255 / lumaRange
		d := (float64(i) - 128) * 255 / chromaRange
		c.luma[i] = int32(y*one) + one/2
		c.redCr[i] = int32(2 * (1 - kr) * d * one)
		c.blueCb[i] = int32(2 * (1 - kb) * d * one)
		c.greenCr[i] = int32(-2 * (1 - kr) * kr / kg * d * one)
		c.greenCb[i] = int32(-2 * (1 - kb) * kb / kg * d * one)
	}
	for i := range c.clamp {
		c.clamp[i] = uint8(min(max(i-384, 0), 255))
	}
	return c
}

// Draw converts the part sr of a 4:2:0 frame and scales it to r of dst, which is cut to the picture. Luma is interpolated, chroma is not:
// that is what moving pictures need. Rows are shared out among the processors.
func (c *Converter) Draw(dst *Image, r image.Rectangle, src *image.YCbCr, sr image.Rectangle) {
	sr = sr.Intersect(src.Rect)
	clip := r.Intersect(dst.Rect)
	if clip.Empty() || sr.Empty() || src.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		return
	}
	if r.Size() == sr.Size() {
		parallel(clip.Min.Y, clip.Max.Y, func(y int) { c.copyRow(dst, clip, y, src, sr.Min.Add(clip.Min).Sub(r.Min)) })
		return
	}
	columns := makeColumns(clip.Min.X-r.Min.X, clip.Max.X-r.Min.X, r.Dx(), sr, src.Rect.Min.X)
	parallel(clip.Min.Y, clip.Max.Y, func(y int) {
		at, weight := sourcePos(y-r.Min.Y, r.Dy(), sr.Dy())
		c.scaleRow(dst.row(clip, y), src, columns, sr.Min.Y+at, min(sr.Min.Y+at+1, sr.Max.Y-1), weight)
	})
}

// sourcePos is where the middle of destination pixel i of n lies among the middles of m source pixels.
func sourcePos(i, n, m int) (at int, weight uint32) {
	pos := (int64(2*i+1)*int64(m)<<8/int64(n) - 256) / 2 // in 1/256
	if pos < 0 {
		return 0, 0
	}
	return min(int(pos>>8), m-1), uint32(pos & 255)
}

// makeColumns prepares the columns from to to of n.
func makeColumns(from, to, n int, sr image.Rectangle, left int) []column {
	out := make([]column, to-from)
	for i := range out {
		at, weight := sourcePos(from+i, n, sr.Dx())
		x := sr.Min.X + at
		out[i] = column{
			x: int32(x - left), next: int32(min(x+1, sr.Max.X-1) - left), chroma: int32(x/2 - left/2), weight: weight,
		}
	}
	return out
}

// copyRow converts one row without scaling. at is the source pixel of the corner of clip.
func (c *Converter) copyRow(dst *Image, clip image.Rectangle, y int, src *image.YCbCr, at image.Point) {
	row := dst.row(clip, y)
	sy := at.Y + y - clip.Min.Y
	luma := src.Y[src.YOffset(at.X, sy):][:clip.Dx()]
	co := src.COffset(at.X, sy)
	cb, cr := src.Cb[co:], src.Cr[co:]
	i, j := 0, 0
	if at.X&1 != 0 { // the second of a pair
		binary.LittleEndian.PutUint32(row, c.pixel(luma[0], cb[0], cr[0]))
		i, j = 1, 1
	}
	for ; i+1 < len(luma); i, j = i+2, j+1 {
		// Two pixels share their chroma.
		u, v := cb[j], cr[j]
		red, green, blue := c.redCr[v], c.greenCb[u]+c.greenCr[v], c.blueCb[u]
		l := c.luma[luma[i]]
		first := c.pack(l+red, l+green, l+blue)
		l = c.luma[luma[i+1]]
		second := c.pack(l+red, l+green, l+blue)
		binary.LittleEndian.PutUint64(row[4*i:], uint64(first)|uint64(second)<<32)
	}
	if i < len(luma) {
		binary.LittleEndian.PutUint32(row[4*i:], c.pixel(luma[i], cb[j], cr[j]))
	}
}

// scaleRow converts one row from two rows of luma.
func (c *Converter) scaleRow(row []byte, src *image.YCbCr, columns []column, y0, y1 int, weight uint32) {
	left := src.Rect.Min.X
	above, below := src.Y[src.YOffset(left, y0):], src.Y[src.YOffset(left, y1):]
	co := src.COffset(left, y0)
	cb, cr := src.Cb[co:], src.Cr[co:]
	for i, col := range columns {
		w := col.weight
		a := uint32(above[col.x])*(256-w) + uint32(above[col.next])*w
		b := uint32(below[col.x])*(256-w) + uint32(below[col.next])*w
		l := uint8((a*(256-weight) + b*weight + 1<<15) >> 16)
		binary.LittleEndian.PutUint32(row[4*i:], c.pixel(l, cb[col.chroma], cr[col.chroma]))
	}
}

// pixel is one converted pixel.
func (c *Converter) pixel(y, cb, cr uint8) uint32 {
	l := c.luma[y]
	return c.pack(l+c.redCr[cr], l+c.greenCb[cb]+c.greenCr[cr], l+c.blueCb[cb])
}

// pack rounds, clamps and puts together red, green and blue in 1/65536.
func (c *Converter) pack(r, g, b int32) uint32 {
	return 0xff000000 | uint32(c.clamp[(r>>16+384)&1023])<<16 | uint32(c.clamp[(g>>16+384)&1023])<<8 | uint32(c.clamp[(b>>16+384)&1023])
}

// parallel calls row for each of the rows, on all processors.
func parallel(from, to int, row func(y int)) { share(from, to, 64, row) }

// share is parallel for pieces of work of which a processor should get at least so many, to be worth it.
func share(from, to, least int, row func(y int)) {
	n := min(runtime.GOMAXPROCS(0), (to-from)/least+1)
	var wg sync.WaitGroup
	for i := range n {
		lo, hi := from+(to-from)*i/n, from+(to-from)*(i+1)/n
		work := func() {
			for y := lo; y < hi; y++ {
				row(y)
			}
		}
		if i == n-1 {
			work()
		} else {
			wg.Go(work)
		}
	}
	wg.Wait()
}
