package flash

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// chunk is how much is written, read and compared at once: a multiple of a card's erase block.
const chunk = 4 << 20

// image is an open image file.
type image struct {
	io.Reader
	// size is 0 if it is not known before it has been read.
	size  int64
	close func()
}

func openImage(path string) (*image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	if strings.HasSuffix(path, ".zst") {
		d, err := zstd.NewReader(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("open image %s: %w", path, err)
		}
		return &image{Reader: d, close: func() { d.Close(); f.Close() }}, nil
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("look at image: %w", err)
	}
	return &image{Reader: f, size: info.Size(), close: func() { f.Close() }}, nil
}

// write copies the image to the disk, makes sure that it has arrived, and compares.
func write(ctx context.Context, src *image, d Disk, out io.Writer) error {
	// O_EXCL: the kernel refuses a disk of which anything is mounted.
	f, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s is in use: eject or unmount it first and leave it in its slot", d.Path)
	}
	if err != nil {
		return fmt.Errorf("open disk (are you allowed to? try with sudo): %w", err)
	}
	defer f.Close()
	sums, total, err := copyImage(ctx, src, f, d, out)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "waiting until the card has stored everything …")
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write to %s: %w. The card may be worn out or write-protected", d.Path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write to %s: %w", d.Path, err)
	}
	if err := compare(ctx, d, sums, total, out); err != nil {
		return err
	}
	// So that the desktop shows the new partitions; a file has none.
	if again, err := os.OpenFile(d.Path, os.O_RDONLY, 0); err == nil {
		_ = unix.IoctlSetInt(int(again.Fd()), unix.BLKRRPART, 0)
		again.Close()
	}
	fmt.Fprintf(out, "%s is ready: put the card into your Raspberry Pi and plug it in.\n", d.Path)
	return nil
}

// copyImage writes the image and returns a sum of each chunk.
func copyImage(ctx context.Context, src *image, f *os.File, d Disk, out io.Writer) ([][sha256.Size]byte, int64, error) {
	buf := make([]byte, chunk)
	var sums [][sha256.Size]byte
	var total int64
	p := progress{out: out, what: "writing", size: src.size}
	for {
		if err := ctx.Err(); err != nil {
			return nil, 0, fmt.Errorf("stopped in the middle: %s is incomplete: %w", d.Path, err)
		}
		n, err := io.ReadFull(src, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, 0, fmt.Errorf("read image: %w", err)
		}
		last := err != nil
		if total+int64(n) > d.SizeBytes {
			return nil, 0, fmt.Errorf("the image is larger than %s (%s): use a larger card", d.Path, Size(d.SizeBytes))
		}
		if n > 0 {
			if _, err := f.WriteAt(buf[:n], total); err != nil {
				return nil, 0, fmt.Errorf("write to %s: %w. The card may be worn out or write-protected", d.Path, err)
			}
			sums = append(sums, sha256.Sum256(buf[:n]))
			total += int64(n)
		}
		p.at(total, last)
		if last {
			return sums, total, nil
		}
	}
}

// compare reads the disk and checks every chunk.
func compare(ctx context.Context, d Disk, sums [][sha256.Size]byte, total int64, out io.Writer) error {
	// Past the page cache: what counts is what the card gives back. Not every file system can do that.
	f, err := os.OpenFile(d.Path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		f, err = os.Open(d.Path)
	}
	if err != nil {
		return fmt.Errorf("open disk to read back: %w", err)
	}
	defer f.Close()
	buf, free, err := alignedBuffer()
	if err != nil {
		return err
	}
	defer free()
	p := progress{out: out, what: "reading back", size: total}
	var at int64
	for i, sum := range sums {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped while reading back: %w", err)
		}
		want := min(int64(chunk), total-at)
		n, err := f.ReadAt(buf, at)
		if int64(n) < want {
			return fmt.Errorf("read back from %s: %w. The card may be defective", d.Path, err)
		}
		if sha256.Sum256(buf[:want]) != sum {
			return fmt.Errorf("%s gives back something else than was written, near %s: the card is defective or a fake. Use another one", d.Path, Size(at))
		}
		at += want
		p.at(at, i == len(sums)-1)
	}
	return nil
}

// alignedBuffer returns memory that O_DIRECT can read into: a page of its own.
func alignedBuffer() ([]byte, func(), error) {
	b, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("get memory: %w", err)
	}
	return b, func() { unix.Munmap(b) }, nil //nolint:errcheck // the process ends soon
}

// every is how often progress is shown.
const every = 2 * time.Second

type progress struct {
	out   io.Writer
	what  string
	size  int64
	start time.Time
	shown time.Time
}

func (p *progress) at(n int64, last bool) {
	now := time.Now()
	if p.start.IsZero() {
		p.start, p.shown = now, now
	}
	if !last && now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	line := fmt.Sprintf("%s: %s", p.what, Size(n))
	if p.size > 0 {
		line += fmt.Sprintf(" of %s, %d %%", Size(p.size), n*100/p.size)
	}
	if took := now.Sub(p.start).Seconds(); took > 0 {
		line += fmt.Sprintf(", %.1f MB/s", float64(n)/1e6/took)
	}
	fmt.Fprintln(p.out, line)
}
