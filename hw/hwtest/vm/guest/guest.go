// Package guest is the other end of package vm: what a program needs that is the only one in its machine.
package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Card is the first display card's device.
const Card = "/dev/dri/card0"

// Program is what runs in the machine.
type Program struct {
	// Commands are what the test may ask for.
	Commands Commands
	// Devices are handed to a group, and the program runs as a user of that group, as processes of the images do. None
	// means that it runs as root.
	Devices []string
}

// The user and the group of a program that does not run as root: 44 is Debian's video.
const (
	user  = 1000
	video = 44
)

// Commands answer what the test asks: the rest of the line is the argument.
type Commands map[string]func(argument string) (answer string, err error)

// child is the argument that tells the program that it is not the init process.
const child = "child"

// Main is a program's main function. As the init process it mounts the kernel's file systems and runs itself again as a
// child, which answers the commands. It obeys some itself: kill (the child, with SIGKILL), start (another child) and
// poweroff.
func Main(p Program) error {
	if len(os.Args) > 1 && os.Args[1] == child {
		return serve(os.Stdin, os.Stdout, p.Commands)
	}
	err := supervise(p.Devices)
	if err != nil {
		fmt.Fprintf(os.Stderr, "init: %v\n", err)
	}
	unix.Sync()
	return errors.Join(err, unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func mountAll() error {
	for _, m := range [][3]string{{"devtmpfs", "/dev", "devtmpfs"}, {"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}} {
		if err := unix.Mount(m[0], m[1], m[2], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	return nil
}

// quiet stops the terminal from sending back what it receives.
func quiet(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read terminal settings: %w", err)
	}
	t.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return fmt.Errorf("change terminal settings: %w", err)
	}
	return nil
}

func supervise(devices []string) error {
	if err := mountAll(); err != nil {
		return err
	}
	for _, d := range devices {
		err := errors.Join(os.Chown(d, 0, video), os.Chmod(d, 0o660))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("hand over %s: %w", d, err)
		}
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("open console: %w", err)
	}
	if err := quiet(int(console.Fd())); err != nil {
		return err
	}
	s := supervisor{asUser: len(devices) > 0}
	defer s.kill()
	if err := s.start(console); err != nil {
		return err
	}
	fmt.Fprintln(console, "\nanswer: ready")
	for lines := bufio.NewScanner(console); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch line {
		case "":
		case "kill":
			s.kill()
			fmt.Fprintln(console, "answer: killed")
		case "start":
			if err := s.start(console); err != nil {
				return err
			}
			fmt.Fprintln(console, "answer: started")
		case "poweroff":
			return nil
		default:
			if _, err := fmt.Fprintln(s.stdin, line); err != nil {
				fmt.Fprintln(console, "answer: error: nobody runs")
			}
		}
	}
	return errors.New("console ended")
}

// supervisor runs the child.
type supervisor struct {
	asUser bool
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	wg     sync.WaitGroup
}

func (s *supervisor) start(console *os.File) error {
	s.cmd = exec.Command("/proc/self/exe", child)
	s.cmd.Stdout, s.cmd.Stderr = console, console
	if s.asUser {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user, Groups: []uint32{video}}}
	}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("connect child: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start child: %w", err)
	}
	cmd := s.cmd
	s.wg.Go(func() {
		if err := cmd.Wait(); err != nil {
			fmt.Fprintf(console, "child: %v\n", err)
		}
	})
	return nil
}

func (s *supervisor) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	s.wg.Wait()
}

// serve answers commands, one line each.
func serve(in io.Reader, out io.Writer, commands Commands) error {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		name, argument, _ := strings.Cut(lines.Text(), " ")
		run, ok := commands[name]
		if !ok {
			fmt.Fprintf(out, "answer: error: no command %q\n", name)
			continue
		}
		answer, err := run(argument)
		if err != nil {
			answer = "error: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		fmt.Fprintf(out, "answer: %s\n", answer)
	}
	return nil
}
