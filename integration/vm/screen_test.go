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
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/integration/vm"
	"porthole/media/rtsp"
	"porthole/media/samples"
)

// guestGateway is this machine's loopback as the guest sees it through QEMU's user network.
const guestGateway = "10.0.2.2"

// TestScreen looks at the guest's screen: first the status screen, whose QR code a real reader reads, then, by setting, a
// live camera, recognised by its colours; and each process is killed while it shows.
func TestScreen(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := vm.CopyDisk(theVMImage(t), disk, 0); err != nil {
		t.Fatal(err)
	}
	if !t.Run("status", func(t *testing.T) { statusScreen(t, disk) }) {
		return
	}
	t.Run("camera", func(t *testing.T) { cameraScreen(t, disk) })
}

// show keeps a picture of the screen in the folder SCREENSHOTS, for people.
func show(t *testing.T, img image.Image) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+".png"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func statusScreen(t *testing.T, disk string) {
	m := startVM(t, disk)
	eventually(t, "read the console's address from the screen", func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		text, err := readQR(ctx, t.TempDir(), img)
		if err != nil {
			return err
		}
		// QEMU's user network gives the guest this address.
		if text != "https://10.0.2.15/" {
			return fmt.Errorf("the code on the screen says %q", text)
		}
		show(t, img)
		return nil
	})
	waitProcesses(t, m)
	if err := m.PressPower(t.Context()); err != nil {
		t.Fatal(err)
	}
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

// camera serves the demo clip on loopback until the test ends and returns its address as the guest sees it.
func camera(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- rtsp.ServeClip(ctx, slog.New(slog.DiscardHandler), l, samples.Demo(), "demo", "cam", "camera secret")
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "rtsp://" + net.JoinHostPort(guestGateway, port) + "/demo"
}

func cameraScreen(t *testing.T, disk string) {
	boot, err := vm.OpenBoot(disk)
	if err != nil {
		t.Fatal(err)
	}
	toml := fmt.Sprintf("[admin]\npassword = %q\n\n[[camera]]\nid = \"yard\"\nurl = %q\nuser = \"cam\"\npassword = \"camera secret\"\n\n[player]\nshow = \"camera\"\ncamera = \"yard\"\n",
		password, camera(t))
	if err := boot.Write(t.Context(), "porthole.toml", []byte(toml)); err != nil {
		t.Fatal(err)
	}
	m := startVM(t, disk)
	onScreen := func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		if err := isDemo(img); err != nil {
			return err
		}
		show(t, img)
		return nil
	}
	eventually(t, "the camera's picture on the screen", onScreen)
	t.Log("the camera is on the screen")
	waitProcesses(t, m)
	a := m.Agent()
	for _, name := range []string{"player", "proxy", "console", "signaling", "system"} {
		before := find(t, a, name)
		if err := a.Kill(t.Context(), before.PID); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" comes back", func(ctx context.Context) error {
			list, err := a.Processes(ctx)
			if err != nil {
				return err
			}
			for _, p := range list {
				if p.Name == name && p.PID != before.PID {
					return nil
				}
			}
			return errors.New("not yet")
		})
		eventually(t, "the camera's picture after "+name, onScreen)
		t.Logf("%s was killed and is back", name)
	}
	if n := m.Resets(); n != 0 {
		t.Errorf("the machine was reset %d times", n)
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
