// Package sys is the seam between the hardware packages and the kernel: what they do to a device node, as function
// fields, so that a test hands them a device made of Go.
package sys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/uevent"
)

// Uevents is a stream of kernel events about devices.
type Uevents interface {
	// Next blocks for the next event; after Close it returns an error.
	Next() (uevent.Event, error)
	io.Closer
}

// Sys is the kernel as far as a device node needs it. The zero value is not usable: see Kernel.
type Sys struct {
	// Open opens a device node; flag is that of os.OpenFile.
	Open func(path string, flag int) (*os.File, error)
	// Close closes what Open returned. A blocked Read on it returns os.ErrClosed.
	Close func(f *os.File) error
	// Ioctl does one ioctl. arg points to what the request's size says, and everything it points to in turn is pinned.
	Ioctl func(f *os.File, request uintptr, arg unsafe.Pointer) error
	// IoctlInt does one ioctl whose argument is a number.
	IoctlInt func(f *os.File, request uintptr, arg uintptr) error
	// Mmap maps length bytes of a device at offset, shared, for reading and writing.
	Mmap func(f *os.File, offset int64, length int) ([]byte, error)
	// Munmap undoes Mmap.
	Munmap func(b []byte) error
	// Uevents starts listening for device events.
	Uevents func() (Uevents, error)
	// Mount mounts a file system of the kernel's own that type and source name, and Unmount undoes it.
	Mount   func(source, target, fstype string) error
	Unmount func(target string) error
	// Sync writes out what all file systems still hold in memory.
	Sync func()
	// Restart restarts the machine at once, with a text for whatever starts it; it returns only if it cannot.
	Restart func(arg string) error
}

// Kernel returns the real one.
func Kernel() *Sys {
	return &Sys{
		Open:     open,
		Close:    (*os.File).Close,
		Ioctl:    ioctl,
		IoctlInt: ioctlInt,
		Mmap:     mmap,
		Munmap:   unix.Munmap,
		Uevents:  func() (Uevents, error) { return uevent.Listen() },
		Mount: func(source, target, fstype string) error {
			return unix.Mount(source, target, fstype, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
		Unmount: func(target string) error { return unix.Unmount(target, 0) },
		Sync:    unix.Sync,
		Restart: restart,
	}
}

// open opens without blocking where the device can be polled: then Close ends a blocked Read.
func open(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	return control(f, func(fd uintptr) unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		return errno
	})
}

func ioctlInt(f *os.File, request uintptr, arg uintptr) error {
	return control(f, func(fd uintptr) unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, arg)
		return errno
	})
}

// control runs one system call on f's descriptor, which stays open meanwhile, and repeats it when a signal (the Go
// scheduler sends many) interrupted it, as drmIoctl in libdrm's xf86drm.c does.
func control(f *os.File, call func(fd uintptr) unix.Errno) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = c.Control(func(fd uintptr) {
		for {
			errno = call(fd)
			if !errors.Is(errno, unix.EINTR) && !errors.Is(errno, unix.EAGAIN) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func mmap(f *os.File, offset int64, length int) ([]byte, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var b []byte
	var mapErr error
	err = c.Control(func(fd uintptr) {
		b, mapErr = unix.Mmap(int(fd), offset, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	})
	if err := errors.Join(err, mapErr); err != nil {
		return nil, fmt.Errorf("map %d bytes at %#x: %w", length, offset, err)
	}
	return b, nil
}

// restart is reboot(2) with LINUX_REBOOT_CMD_RESTART2, which the library's Reboot does not give a text.
func restart(arg string) error {
	text, err := unix.BytePtrFromString(arg)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall6(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2,
		unix.LINUX_REBOOT_CMD_RESTART2, uintptr(unsafe.Pointer(text)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Directions in an ioctl number, include/uapi/asm-generic/ioctl.h (what amd64 and arm64 use): a number is
// direction | size<<SizeShift | group<<GroupShift | nr.
const (
	IocWrite     = 1 << 30
	IocRead      = 2 << 30
	IocReadWrite = IocRead | IocWrite
	SizeShift    = 16
	GroupShift   = 8
)
