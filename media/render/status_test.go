package render_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/media/render"
)

// sizes are the screens that matter: TVs, the small touch displays, screens hung upright, a monitor of old.
var sizes = []image.Point{{1920, 1080}, {1280, 720}, {3840, 2160}, {800, 480}, {1024, 768}, {1080, 1920}, {480, 800}, {720, 720}}

func ordinary() render.Status {
	return render.Status{
		Name: "Living room", URL: "https://192.168.1.20/", Addresses: []string{"192.168.1.20", "fd12:3456:789a:1::20"},
		Fingerprint: "3F2A 91BC 77D0 1E42", ClaimCode: "K7QM-4R2X",
		Time: time.Date(2026, 11, 20, 14, 5, 0, 0, time.UTC), Version: "0.3.0",
	}
}

// crowded has more of everything than fits well.
func crowded() render.Status {
	s := ordinary()
	s.Name = "Schaufenster Erdgeschoss links neben dem Eingang, Bahnhofstraße 12 in Wiener Neustadt"
	s.URL = "https://porthole-schaufenster-eg.fritz.box/"
	s.Addresses = nil
	for i := range 5 {
		s.Addresses = append(s.Addresses, fmt.Sprintf("192.168.%d.20", i), fmt.Sprintf("fd12:3456:789a:%04x:dea6:32ff:fe01:%04x", i+4096, i+8192))
	}
	s.Messages = []string{
		"porthole.toml, line 12: unknown key \"passwrod\". Correct the file on the boot partition and restart.",
		"No network: plug in a cable, or set up Wi-Fi in porthole.toml.",
		"The power supply is too weak: use the original one.",
	}
	return s
}

func find(boxes []render.Box, kind render.Kind) (out []string) {
	for _, b := range boxes {
		if b.Kind == kind {
			out = append(out, b.Text)
		}
	}
	return out
}

// checkBoxes fails if anything is cut off or covered.
func checkBoxes(t *testing.T, size image.Point, boxes []render.Box) {
	t.Helper()
	screen := image.Rectangle{Max: size}
	for i, b := range boxes {
		if !b.Rect.In(screen) || b.Rect.Empty() {
			t.Errorf("%s %q at %v is not on the screen", b.Kind, b.Text, b.Rect)
		}
		for _, o := range boxes[:i] {
			if b.Rect.Overlaps(o.Rect) {
				t.Errorf("%s %q at %v overlaps %s %q at %v", b.Kind, b.Text, b.Rect, o.Kind, o.Text, o.Rect)
			}
		}
	}
}

// scan reads the QR code with a real reader.
func scan(t *testing.T, m *render.Image) string {
	t.Helper()
	var pic bytes.Buffer
	if err := png.Encode(&pic, m.RGBA()); err != nil {
		t.Fatal(err)
	}
	bin, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Fatal("this test reads QR codes with zbarimg: apt-get install zbar-tools")
	}
	cmd := exec.Command(bin, "--quiet", "--raw", "-")
	cmd.Stdin = &pic
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func TestStatusScreen(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			m := render.NewImage(size.X, size.Y)
			s := ordinary()
			boxes := render.StatusScreen(m, s)
			checkBoxes(t, size, boxes)
			for kind, want := range map[render.Kind][]string{
				render.KindName: {s.Name}, render.KindURL: {s.URL}, render.KindAddress: s.Addresses, render.KindFingerprint: {s.Fingerprint},
				render.KindCode: {s.ClaimCode}, render.KindQR: {s.URL}, render.KindFooter: {"Friday, 20 November 2026, 14:05 UTC", s.Version},
			} {
				if got := find(boxes, kind); !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", kind, got, want)
				}
			}
			if got := scan(t, m); got != s.URL {
				t.Errorf("the QR code says %q", got)
			}
			// From three metres, letters of 1/40 of the height of a TV are read with ease, of 1/55 still.
			short := min(size.X, size.Y)
			for _, b := range boxes {
				if limit := 55; b.Kind != render.KindFooter && b.Rect.Dy()*limit < short {
					t.Errorf("%s %q is only %d pixels high", b.Kind, b.Text, b.Rect.Dy())
				}
				if !drawn(m, b) {
					t.Errorf("nothing is drawn for %s %q", b.Kind, b.Text)
				}
			}
		})
	}
}

// drawn says whether a box has both a dark and a bright pixel.
func drawn(m *render.Image, b render.Box) bool {
	dark, bright := false, false
	for y := b.Rect.Min.Y; y < b.Rect.Max.Y; y++ {
		for x := b.Rect.Min.X; x < b.Rect.Max.X; x++ {
			l := color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y
			dark, bright = dark || l < 64, bright || l > 150
		}
	}
	return dark && bright
}

func TestCrowdedStatusScreen(t *testing.T) {
	for _, size := range append([]image.Point{{320, 240}, {240, 320}}, sizes...) {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			m := render.NewImage(size.X, size.Y)
			s := crowded()
			boxes := render.StatusScreen(m, s)
			checkBoxes(t, size, boxes)
			if got := find(boxes, render.KindCode); !slices.Equal(got, []string{s.ClaimCode}) {
				t.Errorf("code: %q", got)
			}
			if got := find(boxes, render.KindMessage); len(got) == 0 || !strings.HasPrefix(got[0], "porthole.toml, line 12") {
				t.Errorf("the most important message: %q", got)
			}
			shown := len(find(boxes, render.KindAddress))
			more := slices.Contains(find(boxes, render.KindLabel), fmt.Sprintf("and %d more", len(s.Addresses)-shown))
			if shown > 0 && shown < len(s.Addresses) && !more {
				t.Errorf("%d of %d addresses, and nothing says that there are more", shown, len(s.Addresses))
			}
			if min(size.X, size.Y) >= 480 {
				if got := scan(t, m); got != s.URL {
					t.Errorf("the QR code says %q", got)
				}
			}
		})
	}
}

// TestFirstSecond: nothing is known yet, not even the time.
func TestFirstSecond(t *testing.T) {
	for _, size := range sizes {
		m := render.NewImage(size.X, size.Y)
		boxes := render.StatusScreen(m, render.Status{Name: "porthole"})
		checkBoxes(t, size, boxes)
		if got := find(boxes, render.KindFooter); !slices.Equal(got, []string{"The clock is not set yet"}) {
			t.Errorf("footer %q", got)
		}
		if got := find(boxes, render.KindLabel); !slices.Equal(got, []string{"Waiting for the network …"}) {
			t.Errorf("labels %q", got)
		}
	}
}

// TestUnreachable: where nobody can open the console, nobody is asked to.
func TestUnreachable(t *testing.T) {
	for _, size := range sizes {
		m := render.NewImage(size.X, size.Y)
		s := ordinary()
		s.Unreachable, s.Messages = true, []string{"The storage on the card is damaged and could not be repaired."}
		boxes := render.StatusScreen(m, s)
		checkBoxes(t, size, boxes)
		for _, kind := range []render.Kind{render.KindQR, render.KindURL, render.KindCode} {
			if got := find(boxes, kind); len(got) > 0 {
				t.Errorf("%v: %s %q is shown", size, kind, got)
			}
		}
		for kind, want := range map[render.Kind][]string{render.KindName: {s.Name}, render.KindAddress: s.Addresses} {
			if got := find(boxes, kind); !slices.Equal(got, want) {
				t.Errorf("%v: %s %q, want %q", size, kind, got, want)
			}
		}
		labels := strings.Join(find(boxes, render.KindLabel), " ")
		if strings.Contains(labels, "Scan") || strings.Contains(labels, "code") || !strings.Contains(labels, "cannot be opened now") {
			t.Errorf("%v: labels %q", size, labels)
		}
	}
}

// TestStatusScreenOntoPart draws into a part of a larger picture and nothing beside it.
func TestStatusScreenOntoPart(t *testing.T) {
	m := render.NewImage(1000, 700)
	part := image.Rect(100, 100, 900, 580)
	boxes := render.StatusScreen(m.SubImage(part), ordinary())
	for _, b := range boxes {
		if !b.Rect.In(part) {
			t.Errorf("%s at %v", b.Kind, b.Rect)
		}
	}
	for y := range 700 {
		for x := range 1000 {
			if !image.Pt(x, y).In(part) && m.At(x, y) != (color.RGBA{A: 0xff}) {
				t.Fatalf("drawn at %d,%d", x, y)
			}
		}
	}
}

// FuzzStatusScreen: whatever people call their devices, on whatever screen.
func FuzzStatusScreen(f *testing.F) {
	f.Add("Küche", "https://a.b/", "10.0.0.1", "message", uint16(320), uint16(200))
	f.Add(strings.Repeat("W", 5000), strings.Repeat("x", 5000), "\x00\n\xff", "名前 🐟 שלום", uint16(1), uint16(2000))
	f.Fuzz(func(t *testing.T, name, url, address, message string, w, h uint16) {
		size := image.Pt(int(w%1000)+1, int(h%1000)+1)
		m := render.NewImage(size.X, size.Y)
		boxes := render.StatusScreen(m, render.Status{
			Name: name, URL: url, Addresses: []string{address, address, address}, Messages: []string{message, message},
			Fingerprint: address, ClaimCode: name, Version: message,
		})
		checkBoxes(t, size, boxes)
	})
}
