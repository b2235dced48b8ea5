package authority

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// renewBefore is how long before its end the certificate is renewed.
	renewBefore = 30 * 24 * time.Hour
	// maxAddresses bounds the certificate: addresses of the past stay in it up to this many, so that one that comes
	// and goes (IPv6 privacy addresses) does not write to the card each time.
	maxAddresses = 32
)

// Config says where things lie.
type Config struct {
	Log *slog.Logger
	// CADir holds the authority, TLSDir a folder for each certificate; ours is TLSDir/device.
	CADir, TLSDir string
	// GID is the group that may read private keys; -1 leaves owners alone.
	GID int
	// Hostname is the device's name.
	Hostname func() string
	// Addresses lists the addresses clients may use; net.InterfaceAddrs does.
	Addresses func() ([]net.Addr, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Device keeps the device's own certificate in order.
type Device struct {
	cfg Config

	mu sync.Mutex
	// Guarded by mu. ca is nil while it is not known or damaged, issuer is its certificate, known even then if the chain
	// in service has it; leaf is nil if there is none to serve; err is why not all is well.
	ca     *CA
	issuer *x509.Certificate
	leaf   *x509.Certificate
	err    error
}

// Open makes or loads the authority, repairs owners and modes, and makes the pair if it is missing, damaged or does not
// fit any more. What fails is logged and told by Public; the pair that is there stays in service, and Watch tries again.
func Open(cfg Config) *Device {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Device{cfg: cfg}
	d.check()
	return d
}

// Watch looks every minute whether name, addresses or time ask for a new certificate, until ctx ends.
func (d *Device) Watch(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.check()
		}
	}
}

// check brings everything in order as far as it can, and logs a problem when it is a new one.
func (d *Device) check() {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.err
	d.err = d.open()
	if d.err == nil {
		d.err = d.renew()
	}
	switch {
	case d.err != nil && (before == nil || before.Error() != d.err.Error()):
		d.cfg.Log.Error("cannot keep the device's certificate in order; the former stays in service", "err", d.err)
	case d.err == nil && before != nil:
		d.cfg.Log.Info("the device's certificate is in order again")
	}
}

// open loads or makes the authority, unless it did; the caller holds mu.
func (d *Device) open() error {
	if d.ca != nil {
		return nil
	}
	dir := filepath.Join(d.cfg.TLSDir, "device")
	if err := makeDir(dir, d.cfg.GID); err != nil {
		return err
	}
	if err := repair(d.cfg.Log, d.cfg.TLSDir, d.cfg.GID); err != nil {
		return err
	}
	ca, err := d.openCA()
	if err != nil {
		// What is in service still is.
		d.leaf, d.issuer = d.served()
		return err
	}
	d.ca, d.issuer = ca, ca.Cert
	return nil
}

// openCA makes an authority only where there was none: one that got lost while its certificate is in service would be
// replaced behind the back of everybody who trusts it.
func (d *Device) openCA() (*CA, error) {
	file := filepath.Join(d.cfg.CADir, "ca.pem")
	_, err := os.Stat(file)
	if _, issuer := d.served(); errors.Is(err, os.ErrNotExist) && issuer != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, file, errors.New("it is missing"))
	}
	return OpenCA(d.cfg.CADir, d.cfg.Now())
}

// served returns the certificates of the pair in service; nil for what is not there or damaged.
func (d *Device) served() (leaf, issuer *x509.Certificate) {
	pair, err := tls.LoadX509KeyPair(d.chainFile(), d.keyFile())
	if err != nil {
		return nil, nil
	}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil && c.IsCA && pair.Leaf.CheckSignatureFrom(c) == nil {
			issuer = c
		}
	}
	return pair.Leaf, issuer
}

// renew issues a new certificate if the present one is not good any more; the caller holds mu. The key stays, so that
// whoever pinned it goes on.
func (d *Device) renew() error {
	now := believable(d.cfg.Now())
	key, leaf, err := d.load()
	if err != nil {
		return err
	}
	d.leaf = leaf
	names, ips, err := d.wanted()
	if err != nil {
		return err
	}
	why := ""
	switch {
	case key == nil:
		why = "there was none"
	case leaf == nil:
		why = "there was only its key"
	case leaf.CheckSignatureFrom(d.ca.Cert) != nil:
		why = "the authority changed"
	case leaf.NotAfter.Sub(now) < renewBefore:
		why = "the former ends soon"
	case leaf.NotBefore.After(now):
		why = "the former begins in the future"
	case !slices.Equal(leaf.DNSNames, names):
		why = "the device's name changed"
	case !covers(leaf.IPAddresses, ips):
		why = "the device's addresses changed"
		ips = merge(ips, leaf.IPAddresses)
	default:
		return nil
	}
	if err := d.publish(key, names, ips, now); err != nil {
		return err
	}
	d.cfg.Log.Info("made the device's certificate", "because", why, "names", names, "addresses", len(ips),
		"until", d.leaf.NotAfter, "key", shortName(d.leaf))
	return nil
}

// wanted returns names and addresses the certificate should have.
func (d *Device) wanted() ([]string, []net.IP, error) {
	name := d.cfg.Hostname()
	names := []string{name, name + ".local"}
	if name != "localhost" {
		names = append(names, "localhost")
	}
	ips := []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	addrs, err := d.cfg.Addresses()
	if err != nil {
		return nil, nil, fmt.Errorf("list the device's addresses: %w", err)
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		// A link-local IPv6 address needs a zone, which no URL can carry to a browser. IPv4's are those of a direct cable.
		if !ok || n.IP.IsLoopback() || n.IP.IsMulticast() || n.IP.To4() == nil && n.IP.IsLinkLocalUnicast() {
			continue
		}
		ip := n.IP
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		ips = append(ips, ip)
	}
	return names, merge(ips, nil), nil
}

func covers(have, want []net.IP) bool {
	return !slices.ContainsFunc(want, func(ip net.IP) bool { return !slices.ContainsFunc(have, ip.Equal) })
}

// merge appends to now what it lacks of past, up to maxAddresses.
func merge(now, past []net.IP) []net.IP {
	out := make([]net.IP, 0, len(now)+len(past))
	for _, ip := range slices.Concat(now, past) {
		if len(out) < maxAddresses && !slices.ContainsFunc(out, ip.Equal) {
			out = append(out, ip)
		}
	}
	return out
}

func (d *Device) keyFile() string { return filepath.Join(d.cfg.TLSDir, "device", "privkey.pem") }

func (d *Device) chainFile() string { return filepath.Join(d.cfg.TLSDir, "device", "fullchain.pem") }

// load returns the key, and the certificate if it belongs to it. What is damaged or does not belong together (a power
// cut between two renames) is as good as missing.
func (d *Device) load() (crypto.Signer, *x509.Certificate, error) {
	keyPEM, err := os.ReadFile(d.keyFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the device's key: %w", err)
	}
	key := parseKey(keyPEM)
	if key == nil {
		d.cfg.Log.Warn("the device's private key is damaged; making a new one", "file", d.keyFile())
		return nil, nil, nil
	}
	chain, err := os.ReadFile(d.chainFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the device's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, keyPEM)
	if err != nil {
		return key, nil, nil //nolint:nilerr // replaced by publish
	}
	return key, pair.Leaf, nil
}

func parseKey(b []byte) crypto.Signer {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil
	}
	return signer
}

// publish writes the key first if it is new, then the chain; the caller holds mu.
func (d *Device) publish(key crypto.Signer, names []string, ips []net.IP, now time.Time) error {
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return fmt.Errorf("make the device's key: %w", err)
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return fmt.Errorf("encode the device's key: %w", err)
		}
		if err := replace(d.keyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), keyMode, d.cfg.GID); err != nil {
			return err
		}
		key = k
	}
	der, err := d.ca.issue(key.Public(), names, ips, now)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse the device's new certificate: %w", err)
	}
	if err := replace(d.chainFile(), encodeCerts(der, d.ca.Cert.Raw), chainMode, d.cfg.GID); err != nil {
		return err
	}
	d.leaf = leaf
	return nil
}
