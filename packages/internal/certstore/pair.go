package certstore

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"porthole/packages/internal/certs"
)

// maxFile bounds what is read of a file, in bytes.
const maxFile = 256 << 10

// Certificate is a pair in service.
type Certificate struct {
	// Name is its folder's: "device", "acme-rsa".
	Name string
	// Algorithm is the key's: "ECDSA P-256", "RSA 2048".
	Algorithm string
	Leaf      *x509.Certificate
	// Public means that it is not of the device's own authority, Trusted that a root which this system trusts vouches for it.
	Public, Trusted bool
}

// Names lists the DNS names and the addresses that the certificate is for.
func (c Certificate) Names() []string { return certs.Names(c.Leaf) }

// pair is a certificate with its key.
type pair struct {
	Certificate
	rsa bool
	tls tls.Certificate
	// sum is of both files.
	sum [sha256.Size]byte
}

// read returns the pair in the folder with that name, former if that is what the files still hold.
func read(root *os.Root, name string, former *pair) (*pair, error) {
	var chain, key []byte
	var err error
	// A pair is replaced by exchanging its folder: one that was opened just before that loses its files.
	for range 3 {
		if chain, key, err = files(root, name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", name, len(chain), chain, key))
	if former != nil && former.sum == sum {
		return former, nil
	}
	p, err := parse(chain, key)
	if err != nil {
		return nil, err
	}
	p.Name, p.sum = name, sum
	if p.Public = !strings.HasPrefix(name, device); p.Public {
		p.Trusted = trusted(p.tls, time.Now())
	}
	return p, nil
}

// files reads both of one folder, which is opened once: they belong together.
func files(root *os.Root, name string) (chain, key []byte, err error) {
	dir, err := root.OpenRoot(name)
	if err != nil {
		return nil, nil, fmt.Errorf("open the folder of certificate %s: %w", name, err)
	}
	defer dir.Close()
	if key, err = file(dir, "privkey.pem", 0o007); err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", name, err)
	}
	if chain, err = file(dir, "fullchain.pem", 0); err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", name, err)
	}
	return chain, key, nil
}

// file reads one whose mode has none of the bits that are forbidden.
func file(dir *os.Root, name string, forbidden fs.FileMode) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case st.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s has mode %04o, use 0640: %w", name, st.Mode().Perm(), ErrKeyExposed)
	case !st.Mode().IsRegular() || st.Size() > maxFile:
		return nil, fmt.Errorf("%s is no file of at most %d bytes", name, maxFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// parse takes a chain and a key in PEM that belong together.
func parse(chain, key []byte) (*pair, error) {
	c, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	_, isRSA := c.Leaf.PublicKey.(*rsa.PublicKey)
	return &pair{tls: c, rsa: isRSA, Certificate: Certificate{Leaf: c.Leaf, Algorithm: certs.Algorithm(c.Leaf.PublicKey)}}, nil
}

// trusted reports whether a root that this system trusts vouches for a chain. The clock may be wrong: what counts is
// whether it was so at a moment of the leaf's own time.
func trusted(c tls.Certificate, now time.Time) bool {
	opts := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: now}
	if now.Before(c.Leaf.NotBefore) {
		opts.CurrentTime = c.Leaf.NotBefore
	} else if now.After(c.Leaf.NotAfter) {
		opts.CurrentTime = c.Leaf.NotAfter
	}
	for _, der := range c.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			opts.Intermediates.AddCert(cert)
		}
	}
	_, err := c.Leaf.Verify(opts)
	return err == nil
}
