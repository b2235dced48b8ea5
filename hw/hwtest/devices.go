// Package hwtest builds hardware for tests: pseudo-file trees, and devices that answer ioctls as the kernel would and
// complain where it would. package vm below it has the real kernel.
package hwtest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/sys"
	"porthole/hw/uevent"
)

// Tree writes files below a new folder and returns it; keys are paths without a leading slash.
func Tree(tb testing.TB, files map[string]string) string {
	tb.Helper()
	root := tb.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// node is a device behind a device node.
type node interface {
	// open returns what the opener reads from.
	open() (*os.File, error)
	close(f *os.File)
	ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error
	ioctlInt(f *os.File, request, arg uintptr) error
	mmap(f *os.File, offset int64, length int) ([]byte, error)
}

// Devices is a root with device nodes that lead to devices made of Go.
type Devices struct {
	tb   testing.TB
	root string

	mu      sync.Mutex // guards what follows
	nodes   map[string]node
	files   map[*os.File]node
	streams map[*stream]bool
	mapped  int
	// restarts are the texts of the restarts that were asked for; synced is whether all was written out before the last.
	restarts []string
	synced   bool
	stuck    error
	mounts   map[string]*mount
}

// NewDevices returns an empty root.
func NewDevices(tb testing.TB) *Devices {
	tb.Helper()
	return &Devices{
		tb: tb, root: tb.TempDir(), nodes: make(map[string]node), files: make(map[*os.File]node), streams: make(map[*stream]bool),
		mounts: make(map[string]*mount),
	}
}

// Root is the folder to give as a root path.
func (d *Devices) Root() string { return d.root }

func (d *Devices) add(path string, n node) {
	d.tb.Helper()
	path = filepath.Join(d.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.tb.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		d.tb.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nodes[path] = n
}

// Open tells how many files and mappings of devices are open.
func (d *Devices) Open() (files, mappings int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.files), d.mapped
}

// Sys is the kernel for those devices, for example for display.Options.
func (d *Devices) Sys() *sys.Sys {
	return &sys.Sys{
		Open:     d.openNode,
		Close:    d.closeNode,
		Ioctl:    func(f *os.File, request uintptr, arg unsafe.Pointer) error { return d.of(f).ioctl(f, request, arg) },
		IoctlInt: func(f *os.File, request, arg uintptr) error { return d.of(f).ioctlInt(f, request, arg) },
		Mmap: func(f *os.File, offset int64, length int) ([]byte, error) {
			b, err := d.of(f).mmap(f, offset, length)
			d.count(1, err)
			return b, err
		},
		Munmap:  func([]byte) error { d.count(-1, nil); return nil },
		Uevents: d.uevents,
		Mount:   d.mount,
		Unmount: d.unmount,
		Sync:    func() { d.mu.Lock(); defer d.mu.Unlock(); d.synced = true },
		Restart: d.restart,
	}
}

// HoldMount makes a file system mountable at path: what lies in the folder content is there while it is mounted.
func (d *Devices) HoldMount(path, fstype, content string) {
	d.tb.Helper()
	if err := os.MkdirAll(filepath.Join(d.root, path), 0o755); err != nil {
		d.tb.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mounts[filepath.Join(d.root, path)] = &mount{fstype: fstype, content: content}
}

// mount is a file system that can be mounted.
type mount struct {
	fstype, content string
	mounted         bool
}

// mount puts a link in the folder's place.
func (d *Devices) mount(_, target, fstype string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.mounts[target]
	switch {
	case m == nil || m.fstype != fstype:
		return unix.ENODEV
	case m.mounted:
		return unix.EBUSY
	}
	m.mounted = true
	return errors.Join(os.Remove(target), os.Symlink(m.content, target))
}

func (d *Devices) unmount(target string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.mounts[target]
	if m == nil || !m.mounted {
		return unix.EINVAL
	}
	m.mounted = false
	return errors.Join(os.Remove(target), os.Mkdir(target, 0o755))
}

// Mounted tells whether what HoldMount has for path is mounted.
func (d *Devices) Mounted(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.mounts[filepath.Join(d.root, path)]
	return m != nil && m.mounted
}

func (d *Devices) restart(arg string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stuck != nil {
		return d.stuck
	}
	if !d.synced {
		d.tb.Error("the machine restarts before what was written is on the disk")
	}
	d.restarts, d.synced = append(d.restarts, arg), false
	return nil
}

// Restarts returns the texts of the restarts that were asked for.
func (d *Devices) Restarts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.restarts...)
}

// Stick makes restarts fail from now on.
func (d *Devices) Stick(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = err
}

func (d *Devices) count(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.mapped += n
	}
}

func (d *Devices) openNode(path string, _ int) (*os.File, error) {
	d.mu.Lock()
	n := d.nodes[path]
	d.mu.Unlock()
	if n == nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	f, err := n.open()
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[f] = n
	return f, nil
}

func (d *Devices) closeNode(f *os.File) error {
	d.mu.Lock()
	n := d.files[f]
	delete(d.files, f)
	d.mu.Unlock()
	if n == nil {
		return os.ErrClosed
	}
	n.close(f)
	return f.Close()
}

// of returns the device behind an open file; a closed one answers EBADF.
func (d *Devices) of(f *os.File) node {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.files[f]; n != nil {
		return n
	}
	return gone{}
}

// gone is a device whose file is closed.
type gone struct{}

func (gone) open() (*os.File, error)                         { return nil, unix.EBADF }
func (gone) close(*os.File)                                  {}
func (gone) ioctl(*os.File, uintptr, unsafe.Pointer) error   { return unix.EBADF }
func (gone) ioctlInt(*os.File, uintptr, uintptr) error       { return unix.EBADF }
func (gone) mmap(*os.File, int64, int) (b []byte, err error) { return nil, unix.EBADF }

// stream is one listener for uevents.
type stream struct {
	devices *Devices
	events  chan uevent.Event
	quit    chan struct{}
}

func (d *Devices) uevents() (sys.Uevents, error) {
	s := &stream{devices: d, events: make(chan uevent.Event, 16), quit: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams[s] = true
	return s, nil
}

// Send sends a uevent to all listeners.
func (d *Devices) Send(ev uevent.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.streams {
		select {
		case s.events <- ev:
		default:
			d.tb.Errorf("a listener leaves uevents unread")
		}
	}
}

// Next implements sys.Uevents.
func (s *stream) Next() (uevent.Event, error) {
	select {
	case ev := <-s.events:
		return ev, nil
	case <-s.quit:
		return uevent.Event{}, errors.New("stream is closed")
	}
}

// Close implements sys.Uevents.
func (s *stream) Close() error {
	s.devices.mu.Lock()
	defer s.devices.mu.Unlock()
	if s.devices.streams[s] {
		delete(s.devices.streams, s)
		close(s.quit)
	}
	return nil
}

// elements is the memory that an ioctl's argument points to.
func elements[T any](address uint64, n uint32) []T {
	if address == 0 || n == 0 {
		return nil
	}
	// The address was pinned by the caller; a plain conversion is what vet warns of.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&address))
	return unsafe.Slice((*T)(p), n)
}

// give copies as much as the caller has room for and answers the full number, as the kernel does.
func give[T any](address uint64, room *uint32, values []T) {
	copy(elements[T](address, *room), values)
	*room = uint32(len(values))
}
