package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"porthole/integration/vm"
)

// startup boots the virtual machine's image and reports how long after init's first word the supervisor listened (the
// floor: gokrazy's own part, and the wait for the first picture), the first picture was on the screen, the status screen
// with the console's address and the console answered; and what init itself measured. QEMU interprets every instruction:
// read the times against each other.
func startup(ctx context.Context, t *table, dir, built string) error {
	const row = "init → "
	if _, err := os.Stat(built); errors.Is(err, fs.ErrNotExist) {
		t.set(value, row+"first picture, console", "not built (make vm-image)")
		return nil
	}
	disk := filepath.Join(dir, "disk.img")
	if err := vm.CopyDisk(built, disk, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	m, err := vm.StartVM(ctx, vm.Options{Disk: disk, Forward: []int{443}})
	if err != nil {
		return err
	}
	defer m.Kill()
	at, _, err := m.WaitSerial(ctx, 0, `Porthole \S+`)
	if err != nil {
		return err
	}
	from := time.Now()
	// Before the first picture the screen is what the kernel left: one colour.
	marks := make(chan mark, 4)
	failed := make(chan error, 3)
	go func() {
		_, _, err := m.WaitSerial(ctx, at, `now listening on /run/gokrazy-http.sock`)
		if err != nil {
			failed <- err
			return
		}
		marks <- mark{floorMark, time.Since(from)}
	}()
	go func() {
		for _, step := range []struct {
			what string
			is   func(image.Image) error
		}{{"first picture", hasPicture}, {"QR code on the screen", hasCode}} {
			// A picture of the screen costs the guest time: seldom.
			err := poll(ctx, time.Second, func() error {
				img, err := m.Screen(ctx)
				if err != nil {
					return err
				}
				return step.is(img)
			})
			if err != nil {
				failed <- err
				return
			}
			marks <- mark{step.what, time.Since(from)}
		}
	}()
	go func() {
		if err := poll(ctx, 200*time.Millisecond, func() error { return healthy(ctx, m.Addr(443)) }); err != nil {
			failed <- err
			return
		}
		marks <- mark{"console answers", time.Since(from)}
	}()
	got := map[string]time.Duration{}
	for len(got) < 4 {
		select {
		case err := <-failed:
			return err
		case reached := <-marks:
			got[reached.what] = reached.after
		}
	}
	base := got[floorMark]
	t.set(value, row+"gokrazy's supervisor listens (the floor)", fmt.Sprintf("%.1f s", base.Seconds()))
	for _, what := range []string{"first picture", "QR code on the screen", "console answers"} {
		t.set(value, row+what, fmt.Sprintf("%.1f s, %.1f × the floor", got[what].Seconds(), float64(got[what])/float64(base)))
	}
	// init's own clock, without the time that a picture of the screen takes.
	_, said, err := m.WaitSerial(ctx, at, `msg="first picture" after=(\S+)|msg="no first picture" err="([^"]*)`)
	if err != nil {
		return err
	}
	t.set(value, row+"first picture, by init's clock", said[1]+said[2])
	return nil
}

// mark is a step of the start, and how long after init's first word it was reached.
type mark struct {
	what  string
	after time.Duration
}

const floorMark = "floor"

// poll tries every so often until ok succeeds or ctx ends.
func poll(ctx context.Context, every time.Duration, ok func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// hasPicture says whether the screen shows more than a few colours, which text of the firmware has.
func hasPicture(img image.Image) error {
	if n := colours(img); n < 32 {
		return fmt.Errorf("the screen has %d colours", n)
	}
	return nil
}

// hasCode says whether a white square, the ground of a QR code, is on the screen.
func hasCode(img image.Image) error {
	white := 0
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y += 8 {
		for x := b.Min.X; x < b.Max.X; x += 8 {
			if r, g, bl, _ := img.At(x, y).RGBA(); r&g&bl == 0xffff {
				white++
			}
		}
	}
	if all := b.Dx() / 8 * b.Dy() / 8; white < all/50 {
		return fmt.Errorf("%d of %d dots of the screen are white", white, all)
	}
	return nil
}

// colours counts those of every eighth pixel.
func colours(img image.Image) int {
	seen := map[[3]uint32]bool{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y += 8 {
		for x := b.Min.X; x < b.Max.X; x += 8 {
			r, g, bl, _ := img.At(x, y).RGBA()
			seen[[3]uint32{r, g, bl}] = true
		}
	}
	return len(seen)
}

func healthy(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a device nobody has met yet
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/api/health", nil)
	if err != nil {
		return fmt.Errorf("ask the console: %w", err)
	}
	res, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask the console: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the console answers %s", res.Status)
	}
	return nil
}
