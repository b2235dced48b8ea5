package hwtest

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/sys"
)

// Firmware is a Pi's firmware behind its mailbox (/dev/vcio), as far as it tells what slows the processor down.
type Firmware struct {
	mu     sync.Mutex // guards what follows
	value  uint32
	broken bool
}

// NewFirmware adds one.
func NewFirmware(d *Devices) *Firmware {
	f := &Firmware{}
	d.add("dev/vcio", f)
	return f
}

// Set makes value the answer of "get throttled".
func (f *Firmware) Set(value uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = value
}

// Break makes it answer that it does not know what was asked.
func (f *Firmware) Break() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = true
}

func (f *Firmware) open() (*os.File, error) { return os.Open(os.DevNull) }

func (f *Firmware) close(*os.File) {}

func (f *Firmware) ioctl(_ *os.File, request uintptr, arg unsafe.Pointer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// _IOWR(100, 0, char *) on a 64-bit machine.
	if request != sys.IocReadWrite|8<<sys.SizeShift|100<<sys.GroupShift {
		return unix.ENOTTY
	}
	// A buffer begins with its size in bytes; here it is one property and the end.
	words := (*[7]uint32)(arg)
	if words[0] != 28 || words[1] != 0 || words[2] != 0x00030046 || words[3] != 4 || words[6] != 0 {
		return unix.EINVAL
	}
	if f.broken {
		words[1] = 0x80000001
		return nil
	}
	words[1], words[4], words[5] = 0x80000000, 0x80000004, f.value
	return nil
}

func (f *Firmware) ioctlInt(*os.File, uintptr, uintptr) error { return unix.ENOTTY }

func (f *Firmware) mmap(*os.File, int64, int) ([]byte, error) { return nil, unix.ENODEV }
