// Package uevent receives the kernel's messages about devices that come, go or change (the source that udev reads): a
// display plugged in, a disk resized. It needs no privileges.
package uevent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrMalformed is a message that is not a kernel uevent.
var ErrMalformed = errors.New("not a kernel uevent")

// Event is one message.
type Event struct {
	// Action is "add", "remove", "change", "move", "online", "offline", "bind" or "unbind" (lib/kobject_uevent.c).
	Action string
	// DevPath is the device's folder below /sys, with a leading slash.
	DevPath string
	// Subsystem is for example "drm" or "block".
	Subsystem string
	// Vars are all variables of the message, for example DEVNAME or HOTPLUG.
	Vars map[string]string
	// Lost says that messages were lost because the reader was slow: the others are empty, look at everything again.
	Lost bool
}

// maxVars bounds what one message may hold (UEVENT_NUM_ENVP in include/linux/kobject.h).
const maxVars = 64

// Parse reads one message: "ACTION@DEVPATH", then KEY=VALUE strings, each ended by a zero byte
// (lib/kobject_uevent.c, alloc_uevent_skb). It returns ErrMalformed for anything else, such as udev's own messages.
func Parse(msg []byte) (Event, error) {
	head, rest, ok := bytes.Cut(msg, []byte{0})
	action, path, at := strings.Cut(string(head), "@")
	if !ok || !at || action == "" || !strings.HasPrefix(path, "/") {
		return Event{}, ErrMalformed
	}
	ev := Event{Action: action, DevPath: path, Vars: make(map[string]string)}
	for len(rest) > 0 {
		var field []byte
		field, rest, ok = bytes.Cut(rest, []byte{0})
		key, value, eq := strings.Cut(string(field), "=")
		if !ok || !eq || key == "" || len(ev.Vars) >= maxVars {
			return Event{}, ErrMalformed
		}
		ev.Vars[key] = value
	}
	if ev.Vars["ACTION"] != action || ev.Vars["DEVPATH"] != path {
		return Event{}, ErrMalformed
	}
	ev.Subsystem = ev.Vars["SUBSYSTEM"]
	return ev, nil
}

// Listener receives events. Its methods may be called from several goroutines.
type Listener struct {
	f *os.File
}

// kernelGroup is the multicast group the kernel itself sends to; udev uses 2.
const kernelGroup = 1

// Listen starts to receive; events before the call are not seen.
func Listen() (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("open uevent socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd) // the bind error is the one to tell
		return nil, fmt.Errorf("join uevent group: %w", err)
	}
	return &Listener{f: os.NewFile(uintptr(fd), "uevent")}, nil
}

// messageSize is more than the kernel ever sends: UEVENT_BUFFER_SIZE is 2048, plus the header line.
const messageSize = 8192

// Next blocks for the next event that comes from the kernel. After Close it returns an error that is os.ErrClosed.
// Messages of other programs and malformed ones are passed over.
func (l *Listener) Next() (Event, error) {
	c, err := l.f.SyscallConn()
	if err != nil {
		return Event{}, fmt.Errorf("receive uevent: %w", err)
	}
	buf := make([]byte, messageSize)
	for {
		var n int
		var from unix.Sockaddr
		var recvErr error
		err := c.Read(func(fd uintptr) bool {
			n, from, recvErr = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(recvErr, unix.EAGAIN)
		})
		switch {
		case err != nil: // only when closed, but it does not say so in a way errors.Is knows
			return Event{}, fmt.Errorf("receive uevent: %w: %w", os.ErrClosed, err)
		case errors.Is(recvErr, unix.ENOBUFS):
			return Event{Lost: true}, nil
		case errors.Is(recvErr, unix.EINTR):
			continue
		case recvErr != nil:
			return Event{}, fmt.Errorf("receive uevent: %w", recvErr)
		}
		// Anybody may send to our port; only the kernel has port 0 (netlink(7)).
		if addr, ok := from.(*unix.SockaddrNetlink); !ok || addr.Pid != 0 {
			continue
		}
		if ev, err := Parse(buf[:n]); err == nil {
			return ev, nil
		}
	}
}

// Close ends the listener and a blocked Next.
func (l *Listener) Close() error {
	return l.f.Close()
}
