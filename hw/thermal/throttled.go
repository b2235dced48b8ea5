package thermal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hw/internal/sys"
)

// Limits are what keeps a Pi's processor from its full speed at this moment.
type Limits struct {
	// UnderVoltage: the supply is below 4.63 V.
	UnderVoltage bool `json:"under_voltage"`
	// Capped: the frequency is bounded, for too little voltage or heat. Throttled: the processor is slowed down for it.
	Capped    bool `json:"capped"`
	Throttled bool `json:"throttled"`
	// Hot: the soft limit of the temperature is reached, by default 60 °C on a Pi 3B+.
	Hot bool `json:"hot"`
}

// Or returns what holds in either.
func (l Limits) Or(m Limits) Limits {
	return Limits{l.UnderVoltage || m.UnderVoltage, l.Capped || m.Capped, l.Throttled || m.Throttled, l.Hot || m.Hot}
}

// Firmware is the Pi's firmware. The zero value is the real one.
type Firmware struct {
	// Root stands for /.
	Root string
	// Sys is the kernel; nil means the real one.
	Sys *sys.Sys
}

// The mailbox property interface of the firmware: drivers/char/broadcom/vcio.c and the documentation of the mailbox
// property channel (tags ARM to VC) in the firmware's wiki.
const (
	mailbox      = sys.IocReadWrite | 8<<sys.SizeShift | 100<<sys.GroupShift // IOCTL_MBOX_PROPERTY
	tagThrottled = 0x00030046                                                // get throttled
	answered     = 0x80000000
)

// message is one property: its parts are words of 32 bits.
type message struct {
	size, code, tag, room, length, value, end uint32
}

// The bits of its value that hold now. Those from 16 on are what has been, but the kernel's voltage monitor clears them
// every few seconds (drivers/hwmon/raspberrypi-hwmon.c).
const (
	bitUnderVoltage = 1 << iota
	bitCapped
	bitThrottled
	bitHot
)

// Limits asks the firmware. It returns ErrNoDevice where there is none.
func (f Firmware) Limits() (Limits, error) {
	k := f.Sys
	if k == nil {
		k = sys.Kernel()
	}
	root := f.Root
	if root == "" {
		root = "/"
	}
	node, err := k.Open(root+"/dev/vcio", os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return Limits{}, fmt.Errorf("find the firmware: %w", ErrNoDevice)
	}
	if err != nil {
		return Limits{}, fmt.Errorf("open the firmware's mailbox: %w", err)
	}
	m := message{size: uint32(unsafe.Sizeof(message{})), tag: tagThrottled, room: 4}
	err = k.Ioctl(node, mailbox, unsafe.Pointer(&m))
	if err := errors.Join(err, k.Close(node)); err != nil {
		return Limits{}, fmt.Errorf("ask the firmware what slows the processor down: %w", err)
	}
	if m.code != answered || m.length != answered|4 {
		return Limits{}, fmt.Errorf("ask the firmware what slows the processor down: it answered %#x, %#x", m.code, m.length)
	}
	return Limits{
		UnderVoltage: m.value&bitUnderVoltage != 0, Capped: m.value&bitCapped != 0,
		Throttled: m.value&bitThrottled != 0, Hot: m.value&bitHot != 0,
	}, nil
}
