package board_test

import (
	"testing"

	"porthole/hw/board"
	"porthole/hw/hwtest"
)

func TestRead(t *testing.T) {
	const tree = "sys/firmware/devicetree/base/"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  board.Board
	}{
		{"Pi 3 B+", map[string]string{
			tree + "model": "Raspberry Pi 3 Model B Plus Rev 1.3\x00", tree + "compatible": "raspberrypi,3-model-b-plus\x00brcm,bcm2837\x00",
			tree + "serial-number": "00000000deadbeef\x00", "proc/meminfo": "MemTotal:         948012 kB\nMemFree: 1 kB\n",
		}, board.Board{Model: "Raspberry Pi 3 Model B Plus Rev 1.3", Class: board.Pi3, MemoryBytes: 948012 * 1024}},
		{"Zero 2 W", map[string]string{
			tree + "model": "Raspberry Pi Zero 2 W Rev 1.0\x00", tree + "compatible": "raspberrypi,model-zero-2-w\x00brcm,bcm2837\x00",
		}, board.Board{Model: "Raspberry Pi Zero 2 W Rev 1.0", Class: board.Zero2}},
		{"CM4", map[string]string{
			tree + "model": "Raspberry Pi Compute Module 4 Rev 1.1\x00", tree + "compatible": "raspberrypi,4-compute-module\x00brcm,bcm2711\x00",
		}, board.Board{Model: "Raspberry Pi Compute Module 4 Rev 1.1", Class: board.Pi4}},
		{"Pi 5", map[string]string{
			tree + "model": "Raspberry Pi 5 Model B Rev 1.0\x00", tree + "compatible": "raspberrypi,5-model-b\x00brcm,bcm2712\x00",
		}, board.Board{Model: "Raspberry Pi 5 Model B Rev 1.0", Class: board.Pi5}},
		{"another board", map[string]string{
			tree + "model": "Some \x1b[31mBoard\x00", tree + "compatible": "vendor,board\x00",
		}, board.Board{Model: "Some [31mBoard", Class: board.Other}},
		{"QEMU", map[string]string{
			"sys/class/dmi/id/sys_vendor": "QEMU\n", "sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
		}, board.Board{Model: "QEMU Standard PC (Q35 + ICH9, 2009)", Class: board.VM}},
		{"PC", map[string]string{
			"sys/class/dmi/id/sys_vendor": "LENOVO\n", "sys/class/dmi/id/product_name": "20XW\n", "sys/class/dmi/id/product_serial": "SECRET\n",
		}, board.Board{Model: "LENOVO 20XW", Class: board.Other}},
		{"nothing", nil, board.Board{Model: "unknown", Class: board.Other}},
	} {
		if got, err := (board.FS{Root: hwtest.Tree(t, c.files)}).Read(); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	for _, mem := range []string{"MemTotal: many kB\n", "MemTotal: -5 kB\n", "MemFree: 5 kB\n"} {
		if got, err := (board.FS{Root: hwtest.Tree(t, map[string]string{"proc/meminfo": mem})}).Read(); err == nil {
			t.Errorf("%q was read as %d bytes", mem, got.MemoryBytes)
		}
	}
}
