package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minSD is the smallest disk that QEMU takes for the Pi's card reader: a power of two that holds the image.
const minSD = 1 << 30

// SDSize returns the size of a card for QEMU that has at least the given size.
func SDSize(atLeast int64) int64 {
	size := int64(minSD)
	for size < atLeast {
		size *= 2
	}
	return size
}

// Reset is why a Pi starts.
type Reset string

// Why a Pi starts.
const (
	PowerOn  Reset = "power"
	Restart  Reset = "restart"  // reboot(2)
	Tryboot  Reset = "tryboot"  // reboot(2) with the text "0 tryboot"
	Panicked Reset = "panic"    // the kernel's own restart after a panic
	Bitten   Reset = "watchdog" // the watchdog that the firmware has started ran out
)

// rsts is the register by which the SoC tells why it starts (PM_RSTS: HADPOR, HADWRF; hw/resetcause). Every restart is one of
// its watchdog; the firmware hands the register on in the device tree.
var rsts = map[Reset]string{PowerOn: "1000", Restart: "1020", Tryboot: "1020", Panicked: "1020", Bitten: "1020"}

// Pi is a Raspberry Pi 3 with a card: QEMU's raspi3b, and a stand-in for the firmware, which QEMU has not. It outlives the
// machines, one from each start to the next. What the stand-in knows of the firmware: config.txt, and tryboot.txt for one
// start; the reason of the start in the device tree; the memory that outlasts a restart (the overlay ramoops); and the
// watchdog it starts before the kernel.
type Pi struct {
	o Options
	// ram is the file with the memory that outlasts a restart, address where it lies; empty after a power-on.
	ram, address string
	watchdog     int
	// ports are where the guest's are reached on this machine: the same ones from its first start on.
	ports map[int]int
}

// NewPi returns a Pi that is switched off. Of the options Disk, Forward, MemoryMB, Extra and Log count. Its card must have
// a size that SDSize gives.
func NewPi(o Options) *Pi { return &Pi{o: o} }

// PowerOn starts the Pi as when its power comes back: there is no KMS display, only the firmware's framebuffer, and no
// network until PlugIn.
func (p *Pi) PowerOn(ctx context.Context) (*Machine, error) {
	if p.ram != "" {
		os.Remove(p.ram)
		p.ram = ""
	}
	return p.start(ctx, PowerOn)
}

// ends matches the last that a kernel says before it is reset, which QEMU cannot do: a panic has been written to memory by
// then. The first group is the text of reboot(2).
var ends = regexp.MustCompile(`reboot: Restarting system(?: with command '([^']*)')?\r?\n|(Rebooting in \d+ seconds)`)

// settle is how long a kernel has to write its words to memory after it has said that it restarts.
const settle = 5 * time.Second

// alive matches what a kernel says that has taken over the watchdog.
const alive = `Porthole |Kernel panic|processes: `

// slower is how much longer than a Pi the emulation takes to get to the point where the kernel takes over the watchdog, on a
// busy machine.
const slower = 12

// Next waits until the Pi resets itself, and starts it again as the firmware does. It returns why. m is over then.
func (p *Pi) Next(ctx context.Context, m *Machine) (*Machine, Reset, error) {
	why, err := p.waitReset(ctx, m)
	if err != nil {
		return nil, "", err
	}
	select {
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-time.After(settle):
	}
	if err := p.keepRAM(ctx, m); err != nil {
		return nil, "", err
	}
	m.Kill()
	next, err := p.start(ctx, why)
	return next, why, err
}

func (p *Pi) waitReset(ctx context.Context, m *Machine) (Reset, error) {
	if p.watchdog > 0 {
		limit, cancel := context.WithTimeout(ctx, time.Duration(p.watchdog)*slower*time.Second)
		_, _, err := m.WaitSerial(limit, 0, alive)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return Bitten, nil
		}
		if err != nil {
			return "", err
		}
	}
	_, found, err := m.WaitSerial(ctx, 0, ends.String())
	switch {
	case err != nil:
		return "", err
	case found[2] != "":
		return Panicked, nil
	case found[1] == "0 tryboot":
		return Tryboot, nil
	default:
		return Restart, nil
	}
}

// keepRAM saves the memory that a restart leaves as it is.
func (p *Pi) keepRAM(ctx context.Context, m *Machine) error {
	if p.ram == "" {
		return nil
	}
	at, size, ok := strings.Cut(p.address, " ")
	if !ok {
		return fmt.Errorf("the memory for the kernel's last words lies at %q", p.address)
	}
	start, err := strconv.ParseInt(at, 16, 64)
	if err != nil {
		return fmt.Errorf("where the kernel's last words lie: %w", err)
	}
	length, err := strconv.ParseInt(size, 16, 64)
	if err != nil {
		return fmt.Errorf("how long the kernel's last words may be: %w", err)
	}
	return m.qmp.do(ctx, "pmemsave", map[string]any{"val": start, "size": length, "filename": p.ram}, nil)
}

// start does what the firmware of a Pi 3 does, and starts QEMU with the real kernel and root file system.
func (p *Pi) start(ctx context.Context, why Reset) (*Machine, error) {
	files, err := OpenBoot(p.o.Disk)
	if err != nil {
		return nil, err
	}
	models := Models()
	pi3 := models[slices.IndexFunc(models, func(m Model) bool { return m.Name == "3" })]
	boot, err := Firmware(ctx, files, pi3, why == Tryboot)
	if err != nil {
		return nil, err
	}
	p.watchdog = boot.Watchdog
	dir, err := os.MkdirTemp("", "porthole-pi")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	kernel, dtb := filepath.Join(dir, "kernel"), filepath.Join(dir, "dtb")
	if err := takeOut(ctx, files, boot.Kernel, kernel); err != nil {
		return nil, err
	}
	if err := takeOut(ctx, files, boot.DTB, dtb); err != nil {
		return nil, err
	}
	trying := map[bool]string{false: "0", true: "1"}[why == Tryboot]
	for name, value := range map[string]string{"rsts": rsts[why], "tryboot": trying} {
		if _, err := tree(ctx, "fdtput", "-p", "-t", "x", dtb, "/chosen/bootloader", name, value); err != nil {
			return nil, err
		}
	}
	args, err := p.lastWords(ctx, files, boot, dir, dtb)
	if err != nil {
		return nil, err
	}
	// The firmware names the serial port: the small one here, because the overlay that gives it the good one is not applied.
	// QEMU has no FIQ for the driver of the USB controller, and resets the machine as soon as the watchdog is started. It has
	// no VideoCore either: the driver that talks to its programs (vchiq) gives up, and one of its threads then crashes the
	// kernel more often than not, before there is a console to say so.
	line := strings.Replace(boot.Cmdline, "console=serial0,", "console=ttyS0,", 1) +
		" dwc_otg.fiq_fsm_enable=0 initcall_blacklist=bcm2835_wdt_driver_init,vchiq_driver_init"
	args = append(args, "-M", "raspi3b", "-accel", "tcg,thread=multi", "-kernel", kernel, "-dtb", dtb, "-append", line,
		"-drive", "if=sd,format=raw,file="+p.o.Disk, "-serial", "null")
	if p.o.MemoryMB != 0 {
		args = append(args, "-m", strconv.Itoa(p.o.MemoryMB))
	}
	user := "user,id=net0"
	for _, port := range p.o.Forward {
		user += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", p.ports[port], port)
	}
	args = append(args, "-netdev", user)
	m, err := start(ctx, "qemu-system-aarch64", "qemu-system-arm", dir, args, p.o)
	if err == nil {
		p.ports = m.ports
	}
	return m, err
}

// lastWords applies the overlay for the memory that outlasts a restart, if config.txt names it, and returns QEMU's arguments
// to put there what the kernel before has left.
func (p *Pi) lastWords(ctx context.Context, files BootFiles, boot Boot, dir, dtb string) ([]string, error) {
	at := slices.IndexFunc(boot.Overlays, func(name string) bool { return strings.HasPrefix(path.Base(name), "ramoops") })
	if at < 0 {
		p.ram = ""
		return nil, nil
	}
	overlay := filepath.Join(dir, "overlay")
	if err := takeOut(ctx, files, boot.Overlays[at], overlay); err != nil {
		return nil, err
	}
	if _, err := tree(ctx, "fdtoverlay", "-i", dtb, "-o", dtb, overlay); err != nil {
		return nil, err
	}
	reserved, err := tree(ctx, "fdtget", "-l", dtb, "/reserved-memory")
	if err != nil {
		return nil, err
	}
	for node := range strings.Lines(reserved) {
		if !strings.HasPrefix(node, "ramoops@") {
			continue
		}
		node = "/reserved-memory/" + strings.TrimSpace(node)
		// Its parameters are properties, of the same names.
		for _, param := range boot.Params[boot.Overlays[at]] {
			name, value, _ := strings.Cut(param, "=")
			if _, err := tree(ctx, "fdtget", dtb, node, name); err != nil {
				return nil, err
			}
			if _, err := tree(ctx, "fdtput", "-t", "x", dtb, node, name, strings.TrimPrefix(value, "0x")); err != nil {
				return nil, err
			}
		}
		reg, err := tree(ctx, "fdtget", "-t", "x", dtb, node, "reg")
		if err != nil {
			return nil, err
		}
		p.address = strings.TrimSpace(reg)
	}
	if p.ram == "" {
		p.ram = p.o.Disk + ".ram"
		return nil, nil
	}
	from, _, _ := strings.Cut(p.address, " ")
	return []string{"-device", "loader,file=" + p.ram + ",addr=0x" + from + ",force-raw=on"}, nil
}

// takeOut copies a file of the boot partition to this machine.
func takeOut(ctx context.Context, files BootFiles, name, to string) error {
	data, err := files.Read(ctx, name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		return fmt.Errorf("take out %s: %w", name, err)
	}
	return nil
}

// tree runs one of the tools for device trees.
func tree(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is missing: install the Debian package device-tree-compiler", name)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

// PlugIn plugs a USB network adapter into a machine of a Pi, on QEMU's user network. Its address is one of Raspberry
// Pi's: the kernel calls it eth0, as it does the Pi 3's own adapter, which sits on USB too.
func (m *Machine) PlugIn(ctx context.Context) error {
	return m.qmp.do(ctx, "device_add", map[string]string{"driver": "usb-net", "netdev": "net0", "id": "nic", "mac": "b8:27:eb:12:34:56"}, nil)
}

// PullOut pulls it out again.
func (m *Machine) PullOut(ctx context.Context) error {
	return m.qmp.do(ctx, "device_del", map[string]string{"id": "nic"}, nil)
}
