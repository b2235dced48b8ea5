package intake_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/system/intake"
)

const file = `hostname = "shop-3"
nonsense = 1
[admin]
password = "a very good one"
[[camera]]
id = "door"
url = "rtsp://u:camsecret@10.0.0.9/s"
`

func TestTakenOnce(t *testing.T) {
	boot, state := t.TempDir(), filepath.Join(t.TempDir(), "system")
	path := filepath.Join(boot, "porthole.toml")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	open := func() *intake.Intake {
		t.Helper()
		return intake.Open(intake.Config{Log: slog.New(slog.NewTextHandler(&log, nil)), BootDir: boot, StateDir: state})
	}
	in := open()
	h, ok := in.Handover()
	if !ok || h.Provision.AdminPassword != "a very good one" || len(h.Provision.Cameras) != 1 || h.Provision.Cameras[0].Password != "camsecret" {
		t.Fatalf("got %+v, %v", h, ok)
	}
	if len(h.Problems) != 1 || h.Problems[0].Line != 2 {
		t.Errorf("problems: %+v", h.Problems)
	}
	if p, trouble := in.Problems(); len(p) != 1 || trouble != nil || !strings.HasPrefix(p[0], "Line 2, nonsense: ") {
		t.Errorf("problems for the screen: %q", p)
	}
	if in.Hostname() != "shop-3" {
		t.Errorf("hostname %q", in.Hostname())
	}
	if err := in.Taken("0000", false); !errors.Is(err, intake.ErrOther) {
		t.Errorf("another digest: %v", err)
	}
	for range 2 {
		if err := in.Taken(h.Digest, false); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadFile(path)
	if err != nil || bytes.Contains(left, []byte("very good")) || bytes.Contains(left, []byte("camsecret")) || !bytes.Contains(left, []byte(`id = "door"`)) {
		t.Errorf("left in the file: %v\n%s", err, left)
	}
	// The next start knows the redacted file, and the name.
	in = open()
	if h, ok := in.Handover(); ok {
		t.Errorf("taken over twice: %+v", h)
	}
	if in.Hostname() != "shop-3" {
		t.Errorf("hostname %q after a restart", in.Hostname())
	}
	// A changed file is a new one.
	if err := os.WriteFile(path, []byte("hostname = \"shop-4\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if h, ok := open().Handover(); !ok || h.Provision.Hostname != "shop-4" {
		t.Errorf("got %+v, %v", h, ok)
	}
	if strings.Contains(log.String(), "camsecret") || strings.Contains(log.String(), "very good") {
		t.Error("a secret is in the log")
	}
}

func TestChangedMeanwhile(t *testing.T) {
	boot := t.TempDir()
	path := filepath.Join(boot, "porthole.toml")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	in := intake.Open(intake.Config{Log: slog.New(slog.NewTextHandler(&log, nil)), BootDir: boot, StateDir: t.TempDir()})
	h, _ := in.Handover()
	edited := strings.Replace(file, "shop-3", "shop-9", 1)
	if err := os.WriteFile(path, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != edited {
		t.Errorf("the edited file was overwritten: %v\n%s", err, b)
	}
	if !strings.Contains(log.String(), "changed meanwhile") {
		t.Errorf("nobody is told: %s", log.String())
	}
}

// TestSecretsLeaveLater: a file that was taken over loses its secrets at the next start, if the power went before that, or
// when the same file is put there again; it is not taken over again.
func TestSecretsLeaveLater(t *testing.T) {
	boot, state := t.TempDir(), t.TempDir()
	path := filepath.Join(boot, "porthole.toml")
	put := func() {
		t.Helper()
		if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put()
	in := intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: boot, StateDir: state})
	h, _ := in.Handover()
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	put()
	in = intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: boot, StateDir: state})
	if h, ok := in.Handover(); ok {
		t.Errorf("taken over twice: %+v", h)
	}
	if left, err := os.ReadFile(path); err != nil || bytes.Contains(left, []byte("very good")) || !bytes.Contains(left, []byte(`id = "door"`)) {
		t.Errorf("left in the file: %v\n%s", err, left)
	}
}

// TestLongFileIsNotCut: only 64 KiB count, but what lies behind them is the owner's.
func TestLongFileIsNotCut(t *testing.T) {
	boot := t.TempDir()
	path := filepath.Join(boot, "porthole.toml")
	tail := strings.Repeat("# a line of notes\n", 5000)
	if err := os.WriteFile(path, []byte(file+tail), 0o644); err != nil {
		t.Fatal(err)
	}
	in := intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: boot, StateDir: t.TempDir()})
	h, ok := in.Handover()
	if !ok || len(h.Problems) != 2 || !strings.Contains(h.Problems[1].Reason, "longer than") {
		t.Errorf("problems: %+v", h.Problems)
	}
	if err := in.Taken(h.Digest, false); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(path); err != nil || bytes.Contains(left, []byte("very good")) || !bytes.HasSuffix(left, []byte(tail)) {
		t.Errorf("%d bytes left, %v", len(left), err)
	}
}

func TestNothingThere(t *testing.T) {
	in := intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: t.TempDir(), StateDir: t.TempDir()})
	if h, ok := in.Handover(); ok || in.Hostname() != "porthole" {
		t.Errorf("got %+v, %q", h, in.Hostname())
	}
}

// TestLockedBootPartition: the partition is writable only while the file is written, and if it cannot be made so, the
// owner is told that the secrets are still there.
func TestLockedBootPartition(t *testing.T) {
	for name, c := range map[string]struct {
		unlock error
		said   string
	}{
		"unlocked":  {},
		"it cannot": {errors.New("the card is write-protected"), "Delete the file"},
	} {
		t.Run(name, func(t *testing.T) {
			boot := t.TempDir()
			path := filepath.Join(boot, "porthole.toml")
			if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
				t.Fatal(err)
			}
			var steps []string
			in := intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: boot, StateDir: t.TempDir(), Unlock: func() (func() error, error) {
				steps = append(steps, "unlock")
				return func() error {
					left, err := os.ReadFile(path)
					steps = append(steps, fmt.Sprintf("lock, secrets: %v", bytes.Contains(left, []byte("camsecret"))))
					return err
				}, c.unlock
			}})
			h, _ := in.Handover()
			if err := in.Taken(h.Digest, false); err != nil {
				t.Fatal(err)
			}
			want := []string{"unlock", "lock, secrets: false"}
			if c.unlock != nil {
				want = want[:1]
			}
			if diff := cmp.Diff(want, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			_, trouble := in.Problems()
			if said := strings.Join(trouble, "\n"); !strings.Contains(said, c.said) || strings.Contains(said, "Delete") != (c.unlock != nil) {
				t.Errorf("trouble: %q", said)
			}
		})
	}
}

// TestUnreadable: neither a file that cannot be read nor missing storage keeps the device from coming up.
func TestUnreadable(t *testing.T) {
	boot, state := t.TempDir(), filepath.Join(t.TempDir(), "file", "system")
	if err := os.Mkdir(filepath.Join(boot, "porthole.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(state), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: boot, StateDir: state})
	if _, p := in.Problems(); len(p) != 1 || !strings.Contains(p[0], "cannot be read") || in.Hostname() != "porthole" {
		t.Errorf("problems %q, hostname %s", p, in.Hostname())
	}
	if err := errors.Join(os.Remove(filepath.Join(boot, "porthole.toml")), os.WriteFile(filepath.Join(boot, "porthole.toml"), []byte(file), 0o644)); err != nil {
		t.Fatal(err)
	}
	in = intake.Open(intake.Config{Log: slog.New(slog.DiscardHandler), BootDir: boot, StateDir: state})
	if h, ok := in.Handover(); !ok || h.Provision.Hostname != "shop-3" || in.Hostname() != "shop-3" {
		t.Errorf("without storage: %+v, %v", h, ok)
	}
}
