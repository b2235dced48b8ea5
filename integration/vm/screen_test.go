package vm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/integration/vm"
)

// slirpGuest is the guest's address in QEMU's user network.
const slirpGuest = "10.0.2.15"

// show keeps a picture of the screen in the folder SCREENSHOTS, for people.
func show(t *testing.T, what string, img image.Image) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name() + "-" + what)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// statusScreen waits for the status screen, on which a real reader finds the console's address.
func statusScreen(t *testing.T, m *vm.Machine, url string) {
	t.Helper()
	eventually(t, "read the console's address from the screen", func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		text, err := readQR(ctx, t.TempDir(), img)
		if err != nil {
			return err
		}
		if text != url {
			return fmt.Errorf("the code on the screen says %q", text)
		}
		show(t, "status", img)
		return nil
	})
}

// readQR hands a picture to zbarimg.
func readQR(ctx context.Context, dir string, img image.Image) (string, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "screen.png")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "zbarimg", "--quiet", "--raw", "--nodbus", file).Output()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("zbarimg is missing: install the Debian package zbar-tools")
	}
	if err != nil {
		return "", fmt.Errorf("no code on the screen: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// moves waits until the screen shows the demo clip, and another picture of it a little later: it is live.
func moves(t *testing.T, m *vm.Machine, what string) {
	t.Helper()
	var first image.Image
	eventually(t, what, func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		if err := isDemo(img); err != nil {
			return err
		}
		if first == nil {
			first = img
		}
		if !differ(first, img) {
			return errors.New("the camera's picture stands still")
		}
		show(t, what, img)
		return nil
	})
}

// differ compares where the demo clip moves.
func differ(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return true
	}
	r := a.Bounds()
	for y := r.Min.Y; y < r.Min.Y+r.Dy()*3/5; y += 2 {
		for x := r.Min.X; x < r.Max.X; x += 2 {
			if a.At(x, y) != b.At(x, y) {
				return true
			}
		}
	}
	return false
}

// killEach kills one process after the other while the camera is on the screen: it comes back, gives up its privileges and
// the camera goes on.
func killEach(t *testing.T, m *vm.Machine, u console) {
	t.Helper()
	a := m.Agent()
	for _, name := range []string{"player", "proxy", "console", "signaling", "system"} {
		before := find(t, a, name)
		if err := a.Kill(t.Context(), before.PID); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" comes back", func(ctx context.Context) error {
			// Whoever dies, and the player itself: the screen is never black.
			img, err := m.Screen(ctx)
			if err != nil {
				return err
			}
			if dark(img) {
				show(t, "dark without "+name, img)
				t.Fatalf("the screen is dark while %s is away", name)
			}
			list, err := a.Processes(ctx)
			if err != nil {
				return err
			}
			for _, p := range list {
				if p.Name == name && p.PID != 0 && p.PID != before.PID {
					return nil
				}
			}
			if err := isDemo(img); name == "player" && err != nil {
				show(t, "without player", img)
				t.Fatalf("the player's last frame does not stay until there is another player: %v", err)
			}
			return errors.New("not yet")
		})
		moves(t, m, "the camera after "+name)
		if name != "system" {
			gaveUp(t, u.c, u.at, name)
		}
		t.Logf("%s was killed and is back", name)
	}
}

func find(t *testing.T, a vm.Agent, name string) vm.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	list, err := a.Processes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no process %s in %+v", name, list)
	return vm.Process{}
}

// dark tells whether next to nothing is on the screen. Without a signal QEMU writes a grey line on black.
func dark(img image.Image) bool {
	r := img.Bounds()
	lit, all := 0, 0
	for y := r.Min.Y; y < r.Max.Y; y += 4 {
		for x := r.Min.X; x < r.Max.X; x += 4 {
			all++
			if c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA); int(c.R)+int(c.G)+int(c.B) > 30 {
				lit++
			}
		}
	}
	return lit < all/20
}

// isDemo recognises the demo clip by the colour bars along its lower edge, shown as large as the screen allows.
func isDemo(img image.Image) error {
	b := img.Bounds()
	w, h := b.Dx(), b.Dx()*9/16
	if h > b.Dy() {
		w, h = b.Dy()*16/9, b.Dy()
	}
	left, bottom := b.Min.X+(b.Dx()-w)/2, b.Min.Y+(b.Dy()+h)/2
	for i, bar := range []struct {
		name    string
		r, g, b bool
	}{
		2: {"yellow", true, true, false}, 3: {"cyan", false, true, true}, 4: {"green", false, true, false},
		5: {"magenta", true, false, true}, 6: {"red", true, false, false}, 7: {"blue", false, false, true},
	} {
		if bar.name == "" {
			continue
		}
		c := color.RGBAModel.Convert(img.At(left+w*(2*i+1)/18, bottom-h/40)).(color.RGBA)
		if c.R > 120 != bar.r || c.G > 120 != bar.g || c.B > 120 != bar.b {
			return fmt.Errorf("where the camera's %s bar should be the screen is %v", bar.name, c)
		}
	}
	return nil
}
