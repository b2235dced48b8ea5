package intake_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/testkit"
	"porthole/packages/system/intake"
)

// card is a boot partition, and system's folder.
type card struct {
	t           *testing.T
	boot, state string
	log         testkit.Log
	unlock      error
}

func newCard(t *testing.T, files map[string]string) *card {
	t.Helper()
	c := &card{t: t, boot: t.TempDir(), state: t.TempDir()}
	c.put(files)
	return c
}

func (c *card) put(files map[string]string) {
	c.t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(c.boot, name), []byte(content), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
}

// open is a start of the device.
func (c *card) open() *intake.Intake {
	return intake.Open(intake.Config{Log: slog.New(slog.NewTextHandler(&c.log, nil)), BootDir: c.boot, StateDir: c.state, Unlock: func() (func() error, error) {
		return func() error { return nil }, c.unlock
	}})
}

// there lists what lies on the card.
func (c *card) there() []string {
	c.t.Helper()
	entries, err := os.ReadDir(c.boot)
	if err != nil {
		c.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

const (
	chainText = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	keyText   = "-----BEGIN EC PRIVATE KEY-----\nBBBB\n-----END EC PRIVATE KEY-----\n"
)

// TestCertificateFiles: all files are handed over, once, beside porthole.toml or without it; those with a key leave the card
// when they were taken.
func TestCertificateFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		handed []string
		stay   []string
	}{
		"PEM":                {map[string]string{"certificate.pem": chainText, "privkey.pem": keyText}, []string{"certificate.pem", "privkey.pem"}, []string{"certificate.pem"}},
		"all in one":         {map[string]string{"certificate.pem": chainText + keyText}, []string{"certificate.pem"}, nil},
		"of Let's Encrypt":   {map[string]string{"fullchain.pem": chainText, "privkey.pem": keyText, "notes.txt": "x"}, []string{"fullchain.pem", "privkey.pem"}, []string{"fullchain.pem", "notes.txt"}},
		"of Windows":         {map[string]string{"certificate.pfx": "\x30\x82"}, []string{"certificate.pfx"}, nil},
		"of everybody":       {map[string]string{"certificate.crt": "\x30", "certificate.key": "\x30", "certificate.p12": "\x30", "privkey.key": "\x30", "chain.pem": chainText, "certificate.cer": "\x30"}, []string{"certificate.crt", "certificate.cer", "chain.pem", "privkey.key", "certificate.key", "certificate.p12"}, []string{"certificate.cer", "certificate.crt", "chain.pem"}},
		"with porthole.toml": {map[string]string{"porthole.toml": file, "certificate.pem": chainText, "privkey.pem": keyText}, []string{"certificate.pem", "privkey.pem"}, []string{"certificate.pem", "porthole.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCard(t, c.files)
			in := k.open()
			h, ok := in.Handover()
			var handed []string
			for _, f := range h.Files {
				handed = append(handed, f.Name)
				if string(f.Content) != c.files[f.Name] {
					t.Errorf("%s holds %q", f.Name, f.Content)
				}
			}
			if diff := cmp.Diff(c.handed, handed); !ok || diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, toml := c.files["porthole.toml"]; toml != (h.Provision.Hostname == "shop-3") || h.Problems == nil {
				t.Errorf("porthole.toml: %+v, %+v", h.Provision, h.Problems)
			}
			// Console's answer got lost: the same again.
			again, _ := k.open().Handover()
			if diff := cmp.Diff(h, again); diff != "" {
				t.Errorf("another handover after a restart (-before +after):\n%s", diff)
			}
			if err := in.Taken("0000", false); !errors.Is(err, intake.ErrOther) {
				t.Errorf("another digest: %v", err)
			}
			for range 2 {
				if err := in.Taken(h.Digest, false); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.stay, k.there()); diff != "" {
				t.Errorf("on the card (-want +got):\n%s", diff)
			}
			in = k.open()
			if h, ok := in.Handover(); ok {
				t.Errorf("taken over twice: %+v", h)
			}
			if _, trouble := in.Problems(); trouble != nil {
				t.Errorf("trouble: %q", trouble)
			}
			if strings.Contains(k.log.String(), "BBBB") {
				t.Error("a key is in the log")
			}
		})
	}
}

// TestNewCertificateLater: files that come later are handed over although porthole.toml and the former ones were taken, and
// porthole.toml is not handed over again.
func TestNewCertificateLater(t *testing.T) {
	k := newCard(t, map[string]string{"porthole.toml": file, "certificate.pem": chainText})
	in := k.open()
	first, _ := in.Handover()
	if err := in.Taken(first.Digest, false); err != nil {
		t.Fatal(err)
	}
	k.put(map[string]string{"privkey.pem": keyText})
	in = k.open()
	h, ok := in.Handover()
	if !ok || len(h.Files) != 2 || h.Provision.Hostname != "" || h.Provision.Cameras != nil || h.Digest == first.Digest {
		t.Errorf("%v, %+v", ok, h)
	}
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	if got := k.there(); slices.Contains(got, "privkey.pem") {
		t.Errorf("on the card: %q", got)
	}
	// A new porthole.toml, with old files.
	k.put(map[string]string{"porthole.toml": "hostname = \"shop-4\"\n"})
	if h, ok := k.open().Handover(); !ok || len(h.Files) != 0 || h.Files == nil || h.Provision.Hostname != "shop-4" {
		t.Errorf("%v, %+v", ok, h)
	}
}

// TestRefusedCertificate: one that console refused stays on the card and is handed over again, until it is taken; the passwords
// beside it go all the same.
func TestRefusedCertificate(t *testing.T) {
	k := newCard(t, map[string]string{"porthole.toml": file, "certificate.pem": chainText, "privkey.pem": keyText})
	in := k.open()
	first, _ := in.Handover()
	if err := in.Taken(first.Digest, true); err != nil {
		t.Fatal(err)
	}
	if got := k.there(); !slices.Contains(got, "privkey.pem") {
		t.Errorf("on the card: %q", got)
	}
	in = k.open()
	h, ok := in.Handover()
	if !ok || len(h.Files) != 2 || h.Provision.Hostname != "" {
		t.Fatalf("%v, %+v", ok, h)
	}
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	if got := k.there(); slices.Contains(got, "privkey.pem") {
		t.Errorf("on the card: %q", got)
	}
}

// TestCertificateStaysOnTheCard: what cannot be removed is told, and removed at the next start at which it can be; it is not
// taken again.
func TestCertificateStaysOnTheCard(t *testing.T) {
	k := newCard(t, map[string]string{"certificate.pem": chainText, "privkey.pem": keyText, "certificate.pfx": "\x30"})
	k.unlock = errors.New("the card is write-protected")
	in := k.open()
	h, _ := in.Handover()
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, trouble := in.Problems(); len(trouble) != 1 || !strings.Contains(trouble[0], "privkey.pem, certificate.pfx could not be removed from the card. Delete it") {
			t.Errorf("trouble: %q", trouble)
		}
		in = k.open()
		if _, ok := in.Handover(); ok {
			t.Error("taken over twice")
		}
	}
	k.unlock = nil
	in = k.open()
	if diff := cmp.Diff([]string{"certificate.pem"}, k.there()); diff != "" {
		t.Errorf("on the card (-want +got):\n%s", diff)
	}
	if _, trouble := in.Problems(); len(trouble) != 1 || !strings.Contains(trouble[0], "had been taken over before") {
		t.Errorf("trouble: %q", trouble)
	}
	if _, trouble := k.open().Problems(); trouble != nil {
		t.Errorf("trouble: %q", trouble)
	}
}

// TestCertificateChangedMeanwhile: a file that another has taken the place of is not removed.
func TestCertificateChangedMeanwhile(t *testing.T) {
	k := newCard(t, map[string]string{"certificate.pfx": "\x30old", "privkey.pem": keyText, "certificate.key": keyText})
	in := k.open()
	h, _ := in.Handover()
	k.put(map[string]string{"certificate.pfx": "\x30new"})
	if err := os.Remove(filepath.Join(k.boot, "certificate.key")); err != nil {
		t.Fatal(err)
	}
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"certificate.pfx"}, k.there()); diff != "" {
		t.Errorf("on the card (-want +got):\n%s", diff)
	}
	if _, trouble := in.Problems(); len(trouble) != 1 || !strings.Contains(trouble[0], "certificate.pfx could not") || !strings.Contains(k.log.String(), "changed meanwhile") {
		t.Errorf("trouble: %q, %s", trouble, &k.log)
	}
	if h, ok := k.open().Handover(); !ok || len(h.Files) != 1 || string(h.Files[0].Content) != "\x30new" {
		t.Errorf("the new one: %+v", h)
	}
}

// TestUnreadableCertificate is told, and does not hide the others.
func TestUnreadableCertificate(t *testing.T) {
	k := newCard(t, map[string]string{"certificate.pem": chainText, "certificate.pfx": strings.Repeat("x", 256<<10+1)})
	if err := os.Mkdir(filepath.Join(k.boot, "privkey.pem"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := k.open()
	h, ok := in.Handover()
	if !ok || len(h.Files) != 1 || h.Files[0].Name != "certificate.pem" {
		t.Errorf("%+v", h)
	}
	_, trouble := in.Problems()
	want := []string{
		"privkey.pem on the card cannot be read: it is no file. Write it anew on a computer.",
		"certificate.pfx on the card cannot be read: it has more than 256 KB. Write it anew on a computer.",
	}
	if diff := cmp.Diff(want, trouble); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(k.boot, "certificate.pfx")); errors.Is(err, fs.ErrNotExist) {
		t.Error("a file that could not be taken was removed")
	}
}
