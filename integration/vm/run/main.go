// Command run boots the VM image for a person (`make vm`): the console on a port of this machine, the serial console in
// the terminal, the screen as a picture that is refreshed every few seconds. The disk keeps its state between runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"porthole/integration/vm"
)

// diskSize is that of the virtual card; it takes only the room that is used.
const diskSize = 8 << 30

func main() {
	image := flag.String("image", "build/porthole-vm.img", "disk `image` to boot")
	dir := flag.String("dir", "build/vm", "`folder` for the disk and the screen's picture")
	https := flag.Int("https", 8443, "`port` of this machine for the guest's 443")
	wss := flag.Int("wss", 8765, "`port` of this machine for the guest's 8765")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *image, *dir, *https, *wss); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, image, dir string, https, wss int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	disk := filepath.Join(dir, "disk.img")
	fresh, err := newer(image, disk)
	if err != nil {
		return err
	}
	if fresh {
		fmt.Fprintf(os.Stderr, "a new card from %s\n", image)
		if err := vm.CopyDisk(image, disk, diskSize); err != nil {
			return err
		}
	}
	m, err := vm.StartVM(ctx, vm.Options{
		Disk: disk, Reboot: true, Log: os.Stdout,
		Net: []string{"-netdev", fmt.Sprintf("user,id=net0,hostfwd=tcp:127.0.0.1:%d-:443,hostfwd=tcp:127.0.0.1:%d-:8765", https, wss),
			"-device", "virtio-net-pci,netdev=net0"},
	})
	if err != nil {
		return err
	}
	defer m.Kill()
	screen := filepath.Join(dir, "screen.png")
	fmt.Fprintf(os.Stderr, "\n  console  https://localhost:%d/  (once the guest is up; without KVM that takes a minute)\n  screen   %s, a new picture every 5 s; it shows the claim code\n  Ctrl-C pulls the plug; the card stays in %s\n\n", https, screen, disk)
	return watch(ctx, m, screen)
}

// newer reports whether the card is missing or older than the image.
func newer(image, disk string) (bool, error) {
	i, err := os.Stat(image)
	if err != nil {
		return false, fmt.Errorf("find the image (make vm-image): %w", err)
	}
	d, err := os.Stat(disk)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("find the card: %w", err)
	}
	return i.ModTime().After(d.ModTime()), nil
}

// watch keeps a picture of the screen until the machine or ctx ends.
func watch(ctx context.Context, m *vm.Machine, file string) error {
	ended := make(chan error, 1)
	go func() { ended <- m.Wait(ctx) }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-tick.C:
			if err := picture(ctx, m, file); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "vm: no picture of the screen:", err)
			}
		}
	}
}

func picture(ctx context.Context, m *vm.Machine, file string) error {
	img, err := m.Screen(ctx)
	if err != nil {
		return err
	}
	t, err := renameio.NewPendingFile(file)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer t.Cleanup() //nolint:errcheck // nothing is left after CloseAtomicallyReplace
	if err := png.Encode(t, img); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return t.CloseAtomicallyReplace()
}
