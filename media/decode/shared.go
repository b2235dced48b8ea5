package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"porthole/media/decode/nut"
)

// File descriptors of a child that hands its pictures over in shared memory.
const (
	memoryFD = 5 // the memory
	freeFD   = 6 // a pipe that tells which slots are free again
)

// maxSlots is how many a byte in the pipe can name.
const maxSlots = 255

// shared is memory that the child writes its pictures into, and that this process only reads: one copy in all, where a pipe
// takes four. The memory cannot be made smaller, so whatever the child does with it costs pictures and nothing else.
//
// Its pages are given back when the child is gone and the last frame released. Its addresses stay valid until the garbage
// collector finds that nobody has one of the pictures any more: who looks at one that was released does not crash.
type shared struct {
	file     *os.File
	mem      []byte // mapped, read only
	slotSize int
	slots    []slot

	mu     sync.Mutex // guards what follows
	free   *os.File   // our end of the pipe; nil once closed
	held   int        // slots that are waiting or with the caller
	freed  time.Time  // when the last one was given back
	closed bool
}

// slot is one picture's place. The picture is part of it, so that whoever has the picture keeps the memory.
type slot struct {
	image.YCbCr
	memory *shared
	held   bool // guarded by memory.mu
}

// newShared makes memory for n pictures of so many bytes. It takes up nothing until the child writes.
func newShared(n, slotSize int) (*shared, error) {
	page := os.Getpagesize()
	s := &shared{slotSize: (slotSize + page - 1) / page * page}
	size := n * s.slotSize
	// The kernel may be too old to know that nothing in it will ever be executed.
	fd, err := unix.MemfdCreate("pictures", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("pictures", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	s.file = os.NewFile(uintptr(fd), "pictures")
	if err := s.file.Truncate(int64(size)); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("make shared memory of %d bytes: %w", size, err)
	}
	// A child that could make it smaller could kill whoever reads what is gone.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("seal shared memory: %w", err)
	}
	if s.mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		s.file.Close()
		return nil, fmt.Errorf("map shared memory of %d bytes: %w", size, err)
	}
	s.slots = make([]slot, n)
	for i := range s.slots {
		s.slots[i].memory = s
	}
	// slots refer to s and s to them: a cycle, which a cleanup minds no more than the collector does.
	runtime.AddCleanup(s, func(mem []byte) { _ = unix.Munmap(mem) }, s.mem)
	return s, nil
}

// args are the child's part.
func (s *shared) args() []string {
	return []string{"-c:v", "shared", "-memory_fd", strconv.Itoa(memoryFD), "-free_fd", strconv.Itoa(freeFD),
		"-slots", strconv.Itoa(len(s.slots)), "-slot_size", strconv.Itoa(s.slotSize)}
}

// take reads a packet, the number of the slot that the child has filled, and returns the picture in it.
func (s *shared) take(r io.Reader, p nut.Packet, w, h int) (*image.YCbCr, error) {
	var number [4]byte
	if p.Size != len(number) {
		return nil, fmt.Errorf("%w: packet of %d bytes is no slot's number", nut.ErrFormat, p.Size)
	}
	if _, err := io.ReadFull(r, number[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(number[:])
	if n >= uint32(len(s.slots)) || pictureSize(w, h) > s.slotSize {
		return nil, fmt.Errorf("%w: picture of %d×%d in slot %d", nut.ErrFormat, w, h, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.slots[n]
	if l.held {
		return nil, fmt.Errorf("%w: slot %d is taken", nut.ErrFormat, n)
	}
	l.held = true
	s.held++
	if l.Y == nil { // the size never changes
		l.YCbCr = packed(s.mem[int(n)*s.slotSize:], w, h)
	}
	return &l.YCbCr, nil
}

// release gives the slot of a picture back to the child.
func (s *shared) release(m *image.YCbCr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		l := &s.slots[i]
		if &l.YCbCr != m || !l.held {
			continue
		}
		l.held = false
		s.held--
		s.freed = time.Now()
		if s.free != nil {
			// It never blocks: there is room for every slot. A child that is gone needs none.
			_, _ = s.free.Write([]byte{byte(i)})
		}
	}
	s.drop()
}

// patience is how much longer the child may take: while all slots are waiting or with the caller it cannot do anything.
func (s *shared) patience(timeout time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == len(s.slots) {
		return timeout
	}
	return timeout - time.Since(s.freed)
}

// close says that the child is gone. What was handed out stays.
func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.free != nil {
		s.free.Close()
		s.free = nil
	}
	s.drop()
}

// drop gives the pages back once nobody needs them; s.mu must be held.
func (s *shared) drop() {
	if !s.closed || s.held > 0 || s.file == nil {
		return
	}
	if conn, err := s.file.SyscallConn(); err == nil {
		// Should it fail, they go with the mapping.
		_ = conn.Control(func(fd uintptr) {
			_ = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(len(s.mem)))
		})
	}
	s.file.Close()
	s.file = nil
}
