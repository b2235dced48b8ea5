// Package vm boots Porthole's images in QEMU for tests: the amd64 image under UEFI, and the Raspberry Pi's as the
// machine raspi3b, by a stand-in for the Pi's firmware. QEMU only interprets here (tcg): what takes a second on a device
// can take half a minute, so nothing in this package measures time, and every wait is bounded generously.
package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Machine is a running QEMU.
type Machine struct {
	cmd    *exec.Cmd
	qmp    *qmp
	dir    string
	serial *transcript
	done   chan struct{}
	exit   error // set before done is closed
	ports  map[int]int
	// guest is the guest's own address in a LAN.
	guest netip.Addr
	// record is the file of Options.Record.
	record string
}

// Options say what to boot.
type Options struct {
	// Disk is a raw image; the machine writes to it.
	Disk string
	// MemoryMB defaults to 1024; the Pi has its own.
	MemoryMB int
	// Forward lists the guest's TCP ports that are to be reached on loopback (VM only).
	Forward []int
	// Net are QEMU's arguments for the network instead of the default user network.
	Net []string
	// LAN, instead of the default network, puts the guest into it: all its ports are reached at its own address.
	LAN *LAN
	// Reboot lets the guest restart; otherwise a restart ends the machine.
	Reboot bool
	// Record is a file that gets a log of all that the machine does to its disk (see Recording); none if it is empty (VM only).
	Record string
	// Extra are further arguments of QEMU.
	Extra []string
	// Log gets the serial console, line by line as it comes; nil for none.
	Log io.Writer
}

// OVMF's files in Debian's package ovmf.
const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// StartVM boots the amd64 image. The network is QEMU's user network, with the ports of Forward on loopback.
func StartVM(ctx context.Context, o Options) (*Machine, error) {
	dir, err := os.MkdirTemp("", "porthole-vm")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	vars, err := os.ReadFile(ovmfVars)
	if err != nil {
		return nil, fmt.Errorf("read UEFI firmware (install the Debian package ovmf): %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vars.fd"), vars, 0o600); err != nil {
		return nil, fmt.Errorf("copy UEFI variables: %w", err)
	}
	if o.MemoryMB == 0 {
		o.MemoryMB = 1024
	}
	if o.LAN != nil {
		o.Net, o.Forward = o.LAN.qemu(), nil
	}
	if o.Net == nil {
		user := "user,id=net0"
		for _, port := range o.Forward {
			user += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:0-:%d", port)
		}
		o.Net = []string{"-netdev", user, "-device", "virtio-net-pci,netdev=net0"}
	}
	// One processor: with more, tcg now and then trips over the kernel patching its own code.
	args := []string{"-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", strconv.Itoa(o.MemoryMB),
		"-drive", "if=pflash,format=raw,readonly=on,file=" + ovmfCode,
		"-drive", "if=pflash,format=raw,file=" + filepath.Join(dir, "vars.fd"),
		"-device", "virtio-gpu-pci", "-device", "virtio-rng-pci", "-device", "i6300esb", "-action", "watchdog=reset"}
	drive, err := driveOf(o)
	if err != nil {
		return nil, err
	}
	args = append(append(args, drive...), o.Net...)
	m, err := start(ctx, "qemu-system-x86_64", "qemu-system-x86", dir, args, o)
	if err != nil {
		return nil, err
	}
	if m.record = o.Record; o.LAN != nil {
		m.guest = o.LAN.Guest
	}
	return m, nil
}

// driveOf returns QEMU's arguments for the disk. What the guest flushes is not flushed to the disk of this machine: that
// only has to survive the guest's power cuts.
func driveOf(o Options) ([]string, error) {
	file := func(name string) map[string]any {
		return map[string]any{"driver": "file", "filename": name, "cache": map[string]any{"no-flush": true}}
	}
	disk := map[string]any{"driver": "raw", "file": file(o.Disk)}
	if o.Record != "" {
		log, err := os.Create(o.Record)
		if err != nil {
			return nil, fmt.Errorf("make the recording: %w", err)
		}
		if err := log.Close(); err != nil {
			return nil, fmt.Errorf("make the recording: %w", err)
		}
		disk = map[string]any{"driver": "blklogwrites", "log-sector-size": sectorSize, "file": disk,
			"log": map[string]any{"driver": "raw", "file": file(o.Record)}}
	}
	disk["node-name"] = "disk"
	b, err := json.Marshal(disk)
	if err != nil {
		return nil, fmt.Errorf("describe the disk: %w", err)
	}
	return []string{"-blockdev", string(b), "-device", "virtio-blk-pci,drive=disk"}, nil
}

// start runs QEMU with a serial console, a QMP socket and no window. pkg is the Debian package it comes from.
func start(ctx context.Context, program, pkg, dir string, args []string, o Options) (*Machine, error) {
	if _, err := exec.LookPath(program); err != nil {
		return nil, fmt.Errorf("%s is missing: install the Debian package %s", program, pkg)
	}
	socket := filepath.Join(dir, "qmp")
	args = append(args, "-nodefaults", "-display", "none", "-qmp", "unix:"+socket+",server=on,wait=off",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console")
	if !o.Reboot {
		args = append(args, "-no-reboot")
	}
	m := &Machine{dir: dir, serial: newTranscript(o.Log), done: make(chan struct{}), ports: map[int]int{}}
	m.cmd = exec.Command(program, append(args, o.Extra...)...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.cmd.Stdout = m.serial
	var stderr bytes.Buffer
	m.cmd.Stderr = &stderr
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	go func() {
		defer close(m.done)
		defer m.serial.end()
		if m.exit = m.cmd.Wait(); m.exit != nil {
			m.exit = fmt.Errorf("QEMU: %w: %s", m.exit, bytes.TrimSpace(stderr.Bytes()))
		}
	}()
	var err error
	if m.qmp, err = dialQMP(ctx, socket, m.done); err != nil {
		m.Kill()
		return nil, errors.Join(err, m.exit)
	}
	if len(o.Forward) > 0 {
		if err := m.findPorts(ctx); err != nil {
			m.Kill()
			return nil, err
		}
	}
	return m, nil
}

// forwarding matches a line of `info usernet`: TCP[HOST_FORWARD] 12 127.0.0.1 40001 10.0.2.15 443 0 0
var forwarding = regexp.MustCompile(`TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)`)

// findPorts asks QEMU which ports it has chosen.
func (m *Machine) findPorts(ctx context.Context) error {
	var text string
	if err := m.qmp.do(ctx, "human-monitor-command", map[string]string{"command-line": "info usernet"}, &text); err != nil {
		return err
	}
	for _, found := range forwarding.FindAllStringSubmatch(text, -1) {
		host, err := strconv.Atoi(found[1])
		if err != nil {
			return fmt.Errorf("read port of %q: %w", found[0], err)
		}
		guest, err := strconv.Atoi(found[2])
		if err != nil {
			return fmt.Errorf("read port of %q: %w", found[0], err)
		}
		m.ports[guest] = host
	}
	if len(m.ports) == 0 {
		return fmt.Errorf("QEMU names no forwarded port: %q", text)
	}
	return nil
}

// Addr returns where a port of the guest is reached: at its own address in a LAN, else where it is forwarded on this machine.
func (m *Machine) Addr(guest int) string {
	if m.guest.IsValid() {
		return net.JoinHostPort(m.guest.String(), strconv.Itoa(guest))
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.ports[guest]))
}

// Serial returns what the guest has said on its serial console.
func (m *Machine) Serial() string { return m.serial.String() }

// WaitSerial waits until the guest's serial console matches pattern from byte position from on, and returns the position
// behind the match and the match's groups. It fails when the machine ends first.
func (m *Machine) WaitSerial(ctx context.Context, from int, pattern string) (int, []string, error) {
	return m.serial.wait(ctx, from, regexp.MustCompile(pattern))
}

// Screen returns what the guest's display shows.
func (m *Machine) Screen(ctx context.Context) (image.Image, error) {
	file := filepath.Join(m.dir, "screen.png")
	defer os.Remove(file)
	if err := m.qmp.do(ctx, "screendump", map[string]string{"filename": file, "format": "png"}, nil); err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open screendump: %w", err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read screendump: %w", err)
	}
	return img, nil
}

// Resets returns how often the guest has been reset since it was started, by itself or by its watchdog.
func (m *Machine) Resets() int { return m.qmp.count("RESET") }

// WatchdogBites returns how often the guest's watchdog has run out.
func (m *Machine) WatchdogBites() int { return m.qmp.count("WATCHDOG") }

// PressPower presses the power button, which asks the guest to shut down.
func (m *Machine) PressPower(ctx context.Context) error {
	return m.qmp.do(ctx, "system_powerdown", nil, nil)
}

// Unplug reports whether the network cable is unplugged from now on.
func (m *Machine) Unplug(ctx context.Context, unplugged bool) error {
	return m.qmp.do(ctx, "set_link", map[string]any{"name": "net0", "up": !unplugged}, nil)
}

// Kill pulls the power plug and waits until the machine is gone. What the guest had written is on the disk.
func (m *Machine) Kill() {
	m.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
	<-m.done
	if m.qmp != nil {
		m.qmp.close()
	}
	os.RemoveAll(m.dir)
}

// Stop pulls the power plug too, but only after QEMU has written all that it has taken from the guest: a recording is
// whole then.
func (m *Machine) Stop(ctx context.Context) error {
	if err := m.qmp.do(ctx, "quit", nil, nil); err != nil {
		return err
	}
	return m.Wait(ctx)
}

// Recorded returns how long the log of Options.Record is, in bytes: what the guest has heard of by now is in that part.
func (m *Machine) Recorded() (int64, error) {
	info, err := os.Stat(m.record)
	if err != nil {
		return 0, fmt.Errorf("look at the recording: %w", err)
	}
	return info.Size(), nil
}

// Wait waits until the machine has ended by itself.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.done:
		return m.exit
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transcript is what came over a serial line.
type transcript struct {
	log io.Writer

	mu      sync.Mutex
	text    []byte        // guarded by mu
	ended   bool          // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced at every change
}

func newTranscript(log io.Writer) *transcript {
	return &transcript{log: log, changed: make(chan struct{})}
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.tell()
	if t.log != nil {
		t.log.Write(p) //nolint:errcheck // a log that is gone must not stop the guest
	}
	return len(p), nil
}

func (t *transcript) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.tell()
}

// tell wakes those who wait; t.mu is held.
func (t *transcript) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// tailBytes is how much of the console an error shows.
const tailBytes = 3000

func (t *transcript) wait(ctx context.Context, from int, pattern *regexp.Regexp) (int, []string, error) {
	start := time.Now()
	for {
		t.mu.Lock()
		text, ended, changed := t.text, t.ended, t.changed
		t.mu.Unlock()
		from = min(from, len(text))
		if at := pattern.FindSubmatchIndex(text[from:]); at != nil {
			var groups []string
			for _, g := range pattern.FindSubmatch(text[from:]) {
				groups = append(groups, string(g))
			}
			return from + at[1], groups, nil
		}
		why := ctx.Err()
		if ended {
			why = errors.New("the machine has ended")
		}
		if why != nil {
			return from, nil, fmt.Errorf("wait for %q on the serial console: %w after %s; it ended with:\n%s",
				pattern, why, time.Since(start).Round(time.Second), text[max(0, len(text)-tailBytes):])
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
