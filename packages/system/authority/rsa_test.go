package authority_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/system/authority"
	"porthole/packages/system/pairs"
)

// watched runs a device until ok says so.
func watched(t *testing.T, dev *authority.Device, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- dev.Watch(ctx) }()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// rsaLeaf checks the RSA pair as a client that trusts the authority does.
func (d *device) rsaLeaf(name string) (leaf *x509.Certificate, key []byte) {
	d.t.Helper()
	dir := filepath.Join(d.dir, "tls", pairs.DeviceRSA)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem"))
	if err != nil {
		d.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(d.open().Public().CAPEM))
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: d.now}); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
	key, err = os.ReadFile(filepath.Join(dir, "privkey.pem"))
	if err != nil {
		d.t.Fatal(err)
	}
	return pair.Leaf, key
}

// TestRSABeside: the RSA certificate comes after the other, which is there at once, from the same authority and for the same
// names; it follows the device's name and addresses, and keeps its key.
func TestRSABeside(t *testing.T) {
	d := newDevice(t)
	dev := d.open()
	d.leaf("porthole", d.now)
	dir := filepath.Join(d.dir, "tls", pairs.DeviceRSA)
	if _, err := os.Stat(dir); err == nil {
		t.Error("Open made an RSA key: the first start waits for it")
	}
	there := func() bool { _, err := os.Stat(dir); return err == nil }
	watched(t, dev, "the RSA certificate is there", there)
	first, key := d.rsaLeaf("porthole.local")
	for _, name := range []string{"porthole", "127.0.0.1", "192.0.2.7", "2001:db8::7"} {
		d.rsaLeaf(name)
	}
	if first.PublicKeyAlgorithm != x509.RSA || first.PublicKey.(interface{ Size() int }).Size() != 256 {
		t.Errorf("%v, %d bytes", first.PublicKeyAlgorithm, first.PublicKey.(interface{ Size() int }).Size())
	}
	ca := filepath.Join(d.dir, "public.pem")
	if err := os.WriteFile(ca, []byte(dev.Public().CAPEM), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, filepath.Join(dir, "fullchain.pem")).CombinedOutput(); err != nil {
		t.Errorf("openssl: %s", out)
	}

	d.open()
	if again, _ := d.rsaLeaf("porthole"); !again.Equal(first) {
		t.Error("a restart made another")
	}
	d.hostname, d.addrs = "shop-3", []string{"198.51.100.9/24"}
	d.open()
	for _, name := range []string{"shop-3.local", "198.51.100.9"} {
		if now, same := d.rsaLeaf(name); now.Equal(first) || !bytes.Equal(same, key) {
			t.Errorf("%s: another certificate: %v, the same key: %v", name, !now.Equal(first), bytes.Equal(same, key))
		}
	}
	var told []string
	for _, e := range d.journal.Events() {
		told = append(told, e.Certificate+": "+e.What)
		if e.Who != pairs.ByDevice {
			t.Errorf("by %s: %s", e.Who, e.What)
		}
	}
	all := strings.Join(told, "\n")
	for _, want := range []string{"ca: Made", certs.Fingerprint(first), "device: Made, because there was none", "device-rsa: Made, because the device's name changed", "shop-3.local"} {
		if !strings.Contains(all, want) {
			t.Errorf("the journal does not say %q:\n%s", want, all)
		}
	}
	if len(told) != 5 {
		t.Errorf("%d events:\n%s", len(told), all)
	}
}

// TestRSADamaged: a damaged RSA key is replaced, and never keeps the other certificate from its work.
func TestRSADamaged(t *testing.T) {
	d := newDevice(t)
	dir := filepath.Join(d.dir, "tls", pairs.DeviceRSA)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "privkey.pem"), []byte("rubbish"), 0o640); err != nil {
		t.Fatal(err)
	}
	dev := d.open()
	if p := dev.Public(); p.Problem != "" {
		t.Errorf("the problem: %s", p.Problem)
	}
	d.leaf("porthole", d.now)
	watched(t, dev, "there is another RSA pair", func() bool {
		_, err := tls.LoadX509KeyPair(filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem"))
		return err == nil
	})
	d.rsaLeaf("porthole")
}
