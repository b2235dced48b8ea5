package authority_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/system/authority"
	"porthole/packages/system/pairs"
)

// device is a temporary device whose name, addresses and clock a test moves.
type device struct {
	t        *testing.T
	dir      string
	hostname string
	addrs    []string
	now      time.Time
	log      bytes.Buffer
	journal  *pairs.Journal
}

func newDevice(t *testing.T) *device {
	return &device{t: t, dir: t.TempDir(), hostname: "porthole", addrs: []string{"192.0.2.7/24", "169.254.7.8/16", "fe80::1/64", "2001:db8::7/64"}, now: time.Now()}
}

func (d *device) open() *authority.Device {
	d.t.Helper()
	log := slog.New(slog.NewTextHandler(&d.log, nil))
	d.journal = pairs.OpenJournal(log, filepath.Join(d.dir, "certificates.log"))
	return authority.Open(authority.Config{
		Log: log, CADir: filepath.Join(d.dir, "ca"),
		Pairs:    pairs.New(pairs.Config{Log: log, Dir: filepath.Join(d.dir, "tls"), GID: pairs.KeepGroup, Journal: d.journal}),
		Hostname: func() string { return d.hostname },
		Addresses: func() ([]net.Addr, error) {
			var list []net.Addr
			for _, a := range d.addrs {
				ip, n, err := net.ParseCIDR(a)
				if err != nil {
					return nil, err
				}
				list = append(list, &net.IPNet{IP: ip, Mask: n.Mask})
			}
			return list, nil
		},
		Now: func() time.Time { return d.now },
	})
}

func (d *device) path(name string) string { return filepath.Join(d.dir, "tls", "device", name) }

// leaf checks the published pair the way a client that trusts the authority does, at a client's time.
func (d *device) leaf(name string, at time.Time) *x509.Certificate {
	d.t.Helper()
	pair, err := tls.LoadX509KeyPair(d.path("fullchain.pem"), d.path("privkey.pem"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(d.open().Public().CAPEM)) {
		d.t.Fatal("no authority")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at}); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
	return pair.Leaf
}

func TestMadeOnce(t *testing.T) {
	d := newDevice(t)
	first := d.open().Public()
	if strings.Contains(d.log.String(), "level=WARN") {
		t.Errorf("a first start warns: %s", d.log.String())
	}
	for _, name := range []string{"porthole", "porthole.local", "localhost", "127.0.0.1", "::1", "192.0.2.7", "169.254.7.8", "2001:db8::7"} {
		d.leaf(name, time.Now())
	}
	if second := d.open().Public(); second.LeafSHA256 != first.LeafSHA256 || second.CASHA256 != first.CASHA256 {
		t.Error("the second start made new certificates")
	}
	if other := newDevice(t).open().Public(); other.CASHA256 == first.CASHA256 {
		t.Error("two devices have the same authority")
	}
	for file, want := range map[string]os.FileMode{
		"tls": 0o750, "tls/device": 0o750, "tls/device/privkey.pem": 0o640, "tls/device/fullchain.pem": 0o644, "ca": 0o700, "ca/ca.pem": 0o600,
	} {
		st, err := os.Stat(filepath.Join(d.dir, file))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %04o", file, st.Mode(), err, want)
		}
	}
	leaf := d.leaf("porthole", time.Now())
	if days := leaf.NotAfter.Sub(leaf.NotBefore).Hours() / 24; days > 398 {
		t.Errorf("valid for %.0f days, browsers accept 398", days)
	}
	if strings.Contains(first.CAPEM+first.ChainPEM, "PRIVATE") {
		t.Error("the public parts hold a key")
	}
	if openssl, err := exec.LookPath("openssl"); err == nil {
		ca := filepath.Join(d.dir, "public.pem")
		if err := os.WriteFile(ca, []byte(first.CAPEM), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, d.path("fullchain.pem")).CombinedOutput(); err != nil {
			t.Errorf("openssl: %s", out)
		}
	}
}

// TestIssuedAnew: each reason issues a new certificate with the same key and authority.
func TestIssuedAnew(t *testing.T) {
	for name, change := range map[string]func(*device){
		"new name":        func(d *device) { d.hostname = "shop-3" },
		"new address":     func(d *device) { d.addrs = append(d.addrs, "198.51.100.9/24") },
		"ends soon":       func(d *device) { d.now = d.now.AddDate(1, 0, 8) },
		"chain damaged":   func(d *device) { os.WriteFile(d.path("fullchain.pem"), []byte("rubbish"), 0o644) },
		"chain missing":   func(d *device) { os.Remove(d.path("fullchain.pem")) },
		"chain cut short": func(d *device) { os.Truncate(d.path("fullchain.pem"), 100) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			before := d.open().Public()
			key, err := os.ReadFile(d.path("privkey.pem"))
			if err != nil {
				t.Fatal(err)
			}
			change(d)
			after := d.open().Public()
			if after.LeafSHA256 == before.LeafSHA256 || after.CASHA256 != before.CASHA256 {
				t.Errorf("leaf %v, authority %v", after.LeafSHA256 != before.LeafSHA256, after.CASHA256 == before.CASHA256)
			}
			d.leaf(d.hostname, d.now)
			if now, err := os.ReadFile(d.path("privkey.pem")); err != nil || !bytes.Equal(now, key) {
				t.Errorf("the key changed: %v", err)
			}
		})
	}
}

func TestAddressThatWentStaysForAWhile(t *testing.T) {
	d := newDevice(t)
	d.open()
	d.addrs = []string{"198.51.100.9/24"}
	d.open()
	first := d.leaf("192.0.2.7", time.Now())
	// The old address coming back is no reason to write again.
	d.addrs = []string{"192.0.2.7/24"}
	if d.open(); !d.leaf("198.51.100.9", time.Now()).Equal(first) {
		t.Error("an address that comes and goes makes a new certificate each time")
	}
}

func TestKeyOfAnotherPair(t *testing.T) {
	d := newDevice(t)
	d.open()
	other := newDevice(t)
	other.open()
	key, err := os.ReadFile(other.path("privkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	// As after a power cut between two renames.
	if err := os.WriteFile(d.path("privkey.pem"), key, 0o640); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.leaf("porthole", time.Now())
	if err := os.WriteFile(d.path("privkey.pem"), []byte("rubbish"), 0o640); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.leaf("porthole", time.Now())
}

// TestWrongClock: a device that thinks it is 1970 still makes a certificate that others accept today.
func TestWrongClock(t *testing.T) {
	d := newDevice(t)
	d.now = time.Unix(42, 0)
	d.open()
	d.leaf("porthole", time.Date(2026, time.January, 2, 0, 0, 0, 0, time.UTC))
}

// TestDamagedAuthorityIsKept: an authority that cannot be used is never replaced by itself; what is in service stays, and
// the owner is told.
func TestDamagedAuthorityIsKept(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"cut short": func(file string) error { return os.Truncate(file, 200) },
		"empty":     func(file string) error { return os.Truncate(file, 0) },
		"lost":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			before := d.open().Public()
			file := filepath.Join(d.dir, "ca", "ca.pem")
			backup, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(file); err != nil {
				t.Fatal(err)
			}
			damaged, _ := os.ReadFile(file)
			// A new name, too: the old certificate is better than none.
			d.hostname = "shop-3"
			after := d.open().Public()
			problem := after.Problem
			after.Problem = ""
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("in service (-before +after):\n%s", diff)
			}
			for _, word := range []string{file, "backup", "delete", before.NotAfter.UTC().Format("2006")} {
				if !strings.Contains(problem, word) {
					t.Errorf("the problem %q does not say %q", problem, word)
				}
			}
			if got, _ := os.ReadFile(file); !bytes.Equal(got, damaged) {
				t.Error("the damaged file was touched")
			}
			if !strings.Contains(d.log.String(), "level=ERROR") {
				t.Errorf("the log does not say it: %s", d.log.String())
			}
			if err := os.WriteFile(file, backup, 0o600); err != nil {
				t.Fatal(err)
			}
			if restored := d.open().Public(); restored.Problem != "" || restored.CASHA256 != before.CASHA256 || restored.Names[0] != "shop-3" {
				t.Errorf("after it was restored: %+v", restored)
			}
		})
	}
}

// TestRestoredWhileRunning: system need not be restarted once the authority is back.
func TestRestoredWhileRunning(t *testing.T) {
	d := newDevice(t)
	d.open()
	file := filepath.Join(d.dir, "ca", "ca.pem")
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		dev := d.open()
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan error, 1)
		go func() { watched <- dev.Watch(ctx) }()
		<-time.After(3 * time.Minute)
		if said := strings.Count(d.log.String(), "level=ERROR"); dev.Public().Problem == "" || said != 1 {
			t.Errorf("the problem %q is in the log %d times", dev.Public().Problem, said)
		}
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute + time.Second)
		if p := dev.Public().Problem; p != "" {
			t.Errorf("still: %s", p)
		}
		cancel()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	})
}

// TestNothingToServe: a new authority is made on request only, by deleting all of the old; without storage there is none,
// and that is said.
func TestNothingToServe(t *testing.T) {
	d := newDevice(t)
	before := d.open().Public()
	for _, dir := range []string{"ca", "tls/device"} {
		if err := os.RemoveAll(filepath.Join(d.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	if now := d.open().Public(); now.Problem != "" || now.CASHA256 == before.CASHA256 || now.CASHA256 == "" {
		t.Errorf("after it was deleted: %+v", now)
	}
	none := newDevice(t)
	if err := os.WriteFile(filepath.Join(none.dir, "tls"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := none.open().Public()
	if !strings.Contains(p.Problem, "nobody can connect") || p.CAPEM+p.ChainPEM != "" {
		t.Errorf("without storage: %+v", p)
	}
}

// TestProblemWords: what is on the screen is for people; the error itself is for the log.
func TestProblemWords(t *testing.T) {
	for err, want := range map[error]string{
		&os.PathError{Op: "mkdir", Path: "/perm/tls", Err: syscall.EROFS}: "the storage is missing or cannot be written to",
		fmt.Errorf("write: %w", syscall.ENOSPC):                           "the storage is full",
		fmt.Errorf("read: %w", syscall.EIO):                               "the card may be worn out",
		errors.New("something that nobody has thought of: 0x1 /perm/tls"): "which system's log tells",
	} {
		if got := authority.Words(err); !strings.Contains(got, want) || strings.Contains(got, "/perm") {
			t.Errorf("%v becomes %q", err, got)
		}
	}
}
