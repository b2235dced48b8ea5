// Command probe stands in for ffmpeg in tests: it makes the one attempt that its input names and logs how it ended.
// It uses system calls only: Go's own files and connections need some that the sandbox denies.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	buf := make([]byte, 4096)
	fd, err := syscall.Open("/proc/self/fd/3", syscall.O_RDONLY, 0)
	if err != nil {
		finish(fmt.Errorf("open the item: %w", err))
	}
	n, err := syscall.Read(fd, buf)
	if err != nil {
		finish(fmt.Errorf("read the item: %w", err))
	}
	var what, path string
	var port, parent int
	if _, err := fmt.Sscan(string(buf[:n]), &what, &path, &port, &parent); err != nil {
		finish(fmt.Errorf("understand the item: %w", err))
	}
	finish(attempt(what, path, port, parent))
}

func attempt(what, path string, port, parent int) error {
	loopback := &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	switch what {
	case "read-item":
		return nil
	case "read-file":
		return open(path, syscall.O_RDONLY)
	case "list-folder":
		return open("/", syscall.O_RDONLY|syscall.O_DIRECTORY)
	case "write-file":
		return open(path+".new", syscall.O_WRONLY|syscall.O_CREAT)
	case "write-item":
		return open("/proc/self/fd/3", syscall.O_WRONLY)
	case "tcp":
		return socket(syscall.AF_INET, syscall.SOCK_STREAM, loopback)
	case "udp":
		return socket(syscall.AF_INET, syscall.SOCK_DGRAM, loopback)
	case "ipv6":
		return socket(syscall.AF_INET6, syscall.SOCK_STREAM, nil)
	case "unix":
		return socket(syscall.AF_UNIX, syscall.SOCK_STREAM, nil)
	case "netlink":
		return socket(syscall.AF_NETLINK, syscall.SOCK_RAW, nil)
	case "fork":
		_, err := syscall.ForkExec("/proc/self/exe", []string{"probe"}, nil)
		return err
	case "shell":
		return syscall.Exec("/bin/sh", []string{"sh", "-c", "exit 9"}, nil)
	case "signal":
		return syscall.Kill(parent, 0)
	case "trace":
		_, err := unix.ProcessVMReadv(parent, nil, nil, 0)
		return err
	}
	return fmt.Errorf("unknown attempt %q", what)
}

func open(path string, flags int) error {
	fd, err := syscall.Open(path, flags, 0o600)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}

func socket(family, kind int, to syscall.Sockaddr) error {
	fd, err := syscall.Socket(family, kind, 0)
	if err != nil || to == nil {
		return err
	}
	return syscall.Connect(fd, to)
}

// finish logs the result as ffmpeg logs an error, and leaves.
func finish(err error) {
	result := "it was allowed"
	if err != nil {
		result = "denied: " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	_, _ = syscall.Write(2, []byte("[error] "+result+"\n"))
	os.Exit(3)
}
