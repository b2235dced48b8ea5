// Package board tells what machine this is. It does not expose serial numbers.
package board

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"porthole/hw/internal/sysfs"
)

// Class is a kind of machine that images and limits differ for.
type Class string

// The classes. A compute module or keyboard computer counts as the Pi with its processor.
const (
	Pi3   Class = "pi3"
	Pi4   Class = "pi4"
	Pi5   Class = "pi5"
	Zero2 Class = "zero2"
	VM    Class = "vm"
	Other Class = "other"
)

// Board describes a machine.
type Board struct {
	// Model is for people, for example "Raspberry Pi 4 Model B Rev 1.4".
	Model string
	Class Class
	// MemoryBytes is what Linux can use: less than what is soldered on, because the firmware keeps some.
	MemoryBytes int64
}

// FS is where the kernel's files are. The zero value is /.
type FS struct {
	// Root stands for /.
	Root string
}

// Read describes the machine. What the kernel does not tell is "unknown", Other or 0; errors are those of reading what it
// does tell.
func (f FS) Read() (Board, error) {
	b := Board{Model: "unknown", Class: Other}
	root := sysfs.Root(f.Root)
	mem, err := root.Text("proc/meminfo")
	if err == nil {
		b.MemoryBytes, err = memTotal(mem)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("read memory size: %w", err)
	}
	// The device tree of boards like the Pi (Devicetree Specification 0.4, section 2.3: model, compatible).
	model, err := root.Text("sys/firmware/devicetree/base/model")
	if err == nil {
		compatible, err := root.Text("sys/firmware/devicetree/base/compatible")
		if err != nil {
			return b, fmt.Errorf("read board: %w", err)
		}
		b.Model, b.Class = printable(model), classOf(strings.Split(compatible, "\x00"))
		return b, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("read board: %w", err)
	}
	// The firmware's tables of PCs and virtual ones (System Management BIOS Reference 3.7, section 7.2).
	vendor, err := root.Text("sys/class/dmi/id/sys_vendor")
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("read maker: %w", err)
	}
	product, err := root.Text("sys/class/dmi/id/product_name")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("read product: %w", err)
	}
	b.Model = printable(strings.TrimSpace(vendor + " " + product))
	if isVM(vendor, product) {
		b.Class = VM
	}
	return b, nil
}

// classOf looks for the board first, then for the processor: the names are those of the kernel's
// Documentation/devicetree/bindings/arm/bcm/bcm2835.yaml.
func classOf(compatible []string) Class {
	classes := map[string]Class{
		"raspberrypi,model-zero-2-w": Zero2, "raspberrypi,0-compute-module": Zero2,
		"brcm,bcm2837": Pi3, "brcm,bcm2711": Pi4, "brcm,bcm2712": Pi5,
	}
	for _, name := range compatible {
		if c, ok := classes[name]; ok {
			return c
		}
		if strings.HasPrefix(name, "linux,dummy-virt") { // QEMU's -M virt
			return VM
		}
	}
	return Other
}

func isVM(vendor, product string) bool {
	for _, v := range []string{"QEMU", "VMware", "innotek GmbH", "Xen", "Parallels", "Bochs", "Red Hat"} {
		if strings.HasPrefix(vendor, v) {
			return true
		}
	}
	return strings.Contains(product, "Virtual Machine") || strings.Contains(product, "KVM")
}

// memTotal reads "MemTotal: 948012 kB" (proc_meminfo(5)).
func memTotal(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "MemTotal:" || fields[2] != "kB" {
			continue
		}
		kb, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil || kb < 0 || kb > 1<<50 {
			return 0, fmt.Errorf("MemTotal of %q", fields[1])
		}
		return kb * 1024, nil
	}
	return 0, errors.New("no MemTotal")
}

// printable drops what would disturb a page or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, s)
}
