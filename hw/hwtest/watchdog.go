package hwtest

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watchdog is a hardware watchdog that knows whether it has restarted the machine.
type Watchdog struct {
	mu     sync.Mutex // guards what follows
	status int32
	err    error
}

// NewWatchdog adds one with that boot status (WDIOF_…, linux/watchdog.h).
func NewWatchdog(d *Devices, status int32) *Watchdog {
	w := &Watchdog{status: status}
	d.add("dev/watchdog", w)
	return w
}

// Break makes it answer every question with err.
func (w *Watchdog) Break(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *Watchdog) open() (*os.File, error) { return os.Open(os.DevNull) }

func (w *Watchdog) close(*os.File) {}

func (w *Watchdog) ioctl(_ *os.File, request uintptr, arg unsafe.Pointer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return w.err
	case request != unix.WDIOC_GETBOOTSTATUS:
		return unix.ENOTTY
	}
	*(*int32)(arg) = w.status
	return nil
}

func (w *Watchdog) ioctlInt(*os.File, uintptr, uintptr) error { return unix.ENOTTY }

func (w *Watchdog) mmap(*os.File, int64, int) ([]byte, error) { return nil, unix.ENODEV }
