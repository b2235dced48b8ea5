package authority

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/certs"
	"porthole/packages/system/pairs"
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
	// CADir holds the authority.
	CADir string
	// Pairs takes the certificates, under the names pairs.Device and pairs.DeviceRSA; its journal has what is made and why.
	Pairs *pairs.Store
	// Hostname is the device's name.
	Hostname func() string
	// Addresses lists the addresses clients may use; net.InterfaceAddrs does.
	Addresses func() ([]net.Addr, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Device keeps the device's own certificates in order.
type Device struct {
	cfg Config

	mu sync.Mutex
	// Guarded by mu. ca is nil while it is not known or damaged, issuer is its certificate, known even then if the chain
	// in service has it; leaf is nil if there is none to serve; err is why not all is well. rsaKey waits for its certificate,
	// and wantRSA says that there is no such key yet.
	ca      *CA
	issuer  *x509.Certificate
	leaf    *x509.Certificate
	err     error
	rsaKey  crypto.Signer
	wantRSA bool
}

// Open makes or loads the authority, repairs owners and modes, and makes the pairs that are missing, damaged or do not fit
// any more, but for a missing RSA key, which takes a small board seconds: Watch makes that. What fails is logged and told by
// Public; what is there stays in service, and Watch tries again.
func Open(cfg Config) *Device {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Device{cfg: cfg}
	d.check()
	return d
}

// Watch makes the RSA key if there is none, and looks every minute whether name, addresses or time ask for new
// certificates, until ctx ends.
func (d *Device) Watch(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		d.makeRSA()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.cfg.Pairs.Journal().Settle()
			d.cfg.Pairs.Refresh()
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
		d.err = d.renewAll()
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
	if err := d.cfg.Pairs.Prepare(); err != nil {
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
	file := filepath.Join(d.cfg.CADir, caFile)
	_, err := os.Stat(file)
	missing := errors.Is(err, os.ErrNotExist)
	if _, issuer := d.served(); missing && issuer != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, file, errors.New("it is missing"))
	}
	ca, err := OpenCA(d.cfg.CADir, d.cfg.Now())
	if err == nil && missing {
		d.cfg.Pairs.Journal().Add("ca", "Made the device's certificate authority. "+pairs.Words(ca.Cert), pairs.ByDevice)
	}
	return ca, err
}

// served returns the certificates of the pair in service; nil for what is not there or damaged.
func (d *Device) served() (leaf, issuer *x509.Certificate) {
	chain, key, err := d.cfg.Pairs.Load(pairs.Device)
	if err != nil {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(chain, key)
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

// renewAll renews both certificates as far as they ask for it; the caller holds mu.
func (d *Device) renewAll() error {
	leaf, err := d.renew(pairs.Device, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	if leaf != nil {
		d.leaf = leaf
	}
	if err != nil {
		return err
	}
	d.wantRSA = false
	_, err = d.renew(pairs.DeviceRSA, func() (crypto.Signer, error) {
		if d.wantRSA = d.rsaKey == nil; d.wantRSA {
			return nil, errLater
		}
		return d.rsaKey, nil
	})
	if errors.Is(err, errLater) {
		return nil
	}
	if err == nil {
		d.rsaKey = nil
	}
	return err
}

// errLater means that a key is not ready yet.
var errLater = errors.New("the key is not ready yet")

// rsaBits are as many as browsers ask for at the least (CA/Browser Forum baseline requirements section 6.1.5); more only
// take longer, each time somebody connects.
const rsaBits = 2048

// makeRSA makes the RSA key and its certificate if there is none.
func (d *Device) makeRSA() {
	d.mu.Lock()
	want := d.wantRSA
	d.mu.Unlock()
	if !want {
		return
	}
	made := make(chan struct{})
	var key *rsa.PrivateKey
	var err error
	go func() {
		defer close(made)
		// On a thread of its own, which ends with this: all others come first, the device is starting.
		runtime.LockOSThread()
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 10); err != nil {
			d.cfg.Log.Warn("making the RSA key may slow others down", "err", err)
		}
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}()
	<-made
	if err != nil {
		d.cfg.Log.Error("cannot make an RSA key", "err", err)
		return
	}
	d.mu.Lock()
	d.rsaKey = key
	d.mu.Unlock()
	d.check()
}

// renew issues a new certificate if the one with this name is not good any more, and returns the one in service, nil if
// there is none; the caller holds mu. The key stays, so that whoever pinned it goes on.
func (d *Device) renew(name string, makeKey func() (crypto.Signer, error)) (*x509.Certificate, error) {
	now := believable(d.cfg.Now())
	key, leaf, err := d.load(name)
	if err != nil {
		return nil, err
	}
	names, ips, err := d.wanted()
	if err != nil {
		return leaf, err
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
		return leaf, nil
	}
	if key == nil {
		if key, err = makeKey(); err != nil {
			return leaf, fmt.Errorf("make the device's key: %w", err)
		}
	}
	made, err := d.publish(name, key, names, ips, now)
	if err != nil {
		return leaf, err
	}
	d.cfg.Log.Info("made the device's certificate", "certificate", name, "because", why, "names", names, "addresses", len(ips),
		"until", made.NotAfter, "key", shortName(made))
	d.cfg.Pairs.Journal().Add(name, "Made, because "+why+". "+pairs.Words(made), pairs.ByDevice)
	return made, nil
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

// load returns the key, and the certificate if it belongs to it. What is damaged or does not belong together is as good as
// missing.
func (d *Device) load(name string) (crypto.Signer, *x509.Certificate, error) {
	chain, keyPEM, err := d.cfg.Pairs.Load(name)
	if err != nil || keyPEM == nil {
		return nil, nil, err
	}
	key, err := certs.DecodeKey(keyPEM)
	if err != nil {
		d.cfg.Log.Warn("the device's private key is damaged; making a new one", "certificate", name)
		return nil, nil, nil
	}
	pair, err := tls.X509KeyPair(chain, keyPEM)
	if err != nil {
		return key, nil, nil //nolint:nilerr // replaced by publish
	}
	return key, pair.Leaf, nil
}

// publish issues a certificate and puts it in service with its key; the caller holds mu.
func (d *Device) publish(name string, key crypto.Signer, names []string, ips []net.IP, now time.Time) (*x509.Certificate, error) {
	keyPEM, err := certs.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	der, err := d.ca.issue(key.Public(), names, ips, now)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the device's new certificate: %w", err)
	}
	return leaf, d.cfg.Pairs.Publish(name, certs.EncodePEM(leaf, d.ca.Cert), keyPEM)
}
