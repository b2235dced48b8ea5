package keypair_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"porthole/packages/internal/keypair"
)

// TestForms gives the same pair in every form and order.
func TestForms(t *testing.T) {
	w := newWorld(t)
	key := w.leaf.key.(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", sec1, []byte("secret"), x509.PEMCipherAES256) //nolint:staticcheck // the form is old
	if err != nil {
		t.Fatal(err)
	}
	pfx := func(e *pkcs12.Encoder, password string) []byte {
		b, err := e.Encode(key, w.leaf.cert, []*x509.Certificate{w.middle.cert, w.root.cert}, password)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	text := slices.Concat(keyPEM(t, key), certPEM(w.root, w.middle, w.leaf))
	wide := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(strings.ReplaceAll(string(text), "\n", "\r\n"))) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, c := range map[string]struct {
		password string
		blobs    [][]byte
	}{
		"chain and key":     {"", [][]byte{certPEM(w.leaf, w.middle, w.root), keyPEM(t, key)}},
		"one text, muddled": {"", [][]byte{text}},
		"a file each":       {"", [][]byte{certPEM(w.root), keyPEM(t, key), certPEM(w.leaf), certPEM(w.middle)}},
		"twice":             {"", [][]byte{text, text}},
		"DER":               {"", [][]byte{w.middle.cert.Raw, pkcs8DER(t, key), w.leaf.cert.Raw, w.root.cert.Raw}},
		"SEC 1 in DER":      {"", [][]byte{w.middle.cert.Raw, sec1, certPEM(w.leaf, w.root)}},
		"with parameters":   {"", [][]byte{pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}), text}},
		"words around":      {"", [][]byte{[]byte("Bag Attributes\n    friendlyName: x\n" + string(text) + "that was it\n")}},
		"indented":          {"", [][]byte{[]byte("  " + strings.ReplaceAll(string(text), "\n", "\r\n\t "))}},
		"Windows' editor":   {"", [][]byte{wide}},
		"byte order mark":   {"", [][]byte{append([]byte{0xEF, 0xBB, 0xBF}, text...)}},
		"old encryption":    {"secret", [][]byte{pem.EncodeToMemory(old), certPEM(w.leaf, w.middle, w.root)}},
		"PFX":               {"secret", [][]byte{pfx(pkcs12.Modern2023, "secret")}},
		"PFX of 2026":       {"sécret", [][]byte{pfx(pkcs12.Modern2026, "sécret")}},
		"old PFX":           {"secret", [][]byte{pfx(pkcs12.LegacyDES, "secret")}},
		"oldest PFX":        {"secret", [][]byte{pfx(pkcs12.LegacyRC2, "secret")}},
		"open PFX":          {"", [][]byte{pfx(pkcs12.Passwordless, "")}},
		"empty files":       {"", [][]byte{nil, text, []byte("\r\n")}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := keypair.Parse(c.password, now, c.blobs...)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Chain) != 2 || !p.Leaf().Equal(w.leaf.cert) || !p.Chain[1].Equal(w.middle.cert) {
				t.Errorf("chain %d long, of %v", len(p.Chain), p.Names())
			}
			if p.Root == nil || !p.Root.Equal(w.root.cert) {
				t.Error("the root is not told")
			}
			if !key.Equal(p.Key) || p.Algorithm() != "ECDSA P-256" || p.IsRSA() {
				t.Errorf("key %s", p.Algorithm())
			}
			again, err := keypair.FromPEM(p.ChainPEM(), p.KeyPEM(), now)
			if err != nil || !again.Leaf().Equal(p.Leaf()) || len(again.Chain) != 2 {
				t.Errorf("its own form is not taken: %v", err)
			}
		})
	}
}

func TestRSA(t *testing.T) {
	w := newWorld(t)
	leaf := w.middle.issue(t, leafTemplate(), sharedRSA())
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(sharedRSA())})
	p, err := keypair.Parse("", now, pkcs1, certPEM(leaf, w.middle))
	if err != nil {
		t.Fatal(err)
	}
	if p.Algorithm() != "RSA 2048" || !p.IsRSA() || p.Root != nil {
		t.Errorf("%s, root %v", p.Algorithm(), p.Root)
	}
	if got := strings.Join(p.Names(), " "); got != "cam.example.org 192.0.2.7" {
		t.Errorf("names %s", got)
	}
}

// TestRefusals has a sentence for each thing that people do wrong.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	own := keyPEM(t, w.leaf.key)
	odd := func(change func(*x509.Certificate)) [][]byte {
		tmpl := leafTemplate()
		change(tmpl)
		a := w.middle.issue(t, tmpl, newKey(t))
		return [][]byte{certPEM(a, w.middle), keyPEM(t, a.key)}
	}
	with := func(k crypto.Signer) [][]byte {
		a := w.middle.issue(t, leafTemplate(), k)
		return [][]byte{certPEM(a, w.middle), keyPEM(t, k)}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := pkcs12.Modern2023.Encode(w.leaf.key, w.leaf.cert, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	hard, err := pkcs12.Modern2023.WithIterations(2).Encode(w.leaf.key, w.leaf.cert, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"x.example"}}, w.leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	second := w.middle.issue(t, leafTemplate(), newKey(t))
	cut := certPEM(w.leaf)
	for name, c := range map[string]struct {
		password string
		blobs    [][]byte
		want     string
	}{
		"nothing":          {"", nil, "no certificate in it"},
		"rubbish":          {"", [][]byte{[]byte("hello")}, "no certificate and no key that can be read"},
		"too large":        {"", [][]byte{make([]byte, keypair.MaxBytes+1)}, "too large"},
		"no key":           {"", [][]byte{certPEM(w.leaf, w.middle)}, "no private key"},
		"no certificate":   {"", [][]byte{own}, "no certificate"},
		"request":          {"", [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), own}, "request (CSR)"},
		"request in DER":   {"", [][]byte{csr, own}, "request (CSR)"},
		"another's key":    {"", [][]byte{certPEM(w.middle, w.leaf), keyPEM(t, newKey(t))}, "belongs to another certificate than the one for cam.example.org"},
		"two pairs":        {"", [][]byte{certPEM(w.leaf, second), own, keyPEM(t, second.key)}, "2 private keys"},
		"authority":        {"", [][]byte{certPEM(w.middle), keyPEM(t, w.middle.key)}, "certificate of an authority"},
		"root":             {"", [][]byte{certPEM(w.root), keyPEM(t, w.root.key)}, "certificate of an authority"},
		"cut off":          {"", [][]byte{cut[:len(cut)-40], own}, "damaged or cut off"},
		"damaged":          {"", [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.leaf.cert.Raw[:200]}), own}, "is damaged"},
		"PKCS#7":           {"", [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: []byte{0x30, 0}})}, "PKCS#7"},
		"SSH":              {"", [][]byte{certPEM(w.leaf), pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte{1}})}, "SSH"},
		"wrong password":   {"Secret", [][]byte{pfx}, "password is wrong"},
		"without password": {"", [][]byte{pfx}, "is encrypted"},
		"cut PFX":          {"secret", [][]byte{pfx[:len(pfx)-9]}, "can be read"},
		"too much work":    {"secret", [][]byte{work(t, hard)}, "too much computing"},
		"expired":          {"", odd(func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -3) }), "expired on 26 February 2027"},
		"not yet":          {"", odd(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), "valid only from 1 March 2027, 13:00 UTC"},
		"for clients":      {"", odd(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "not for servers"},
		"may not sign":     {"", odd(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), "Digital Signature"},
		"no names":         {"", odd(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), "alternative names"},
		"RSA 1024":         {"", with(small), "1024 bits"},
		"P-521":            {"", with(p521), "P-521"},
		"Ed25519":          {"", with(ed), "neither RSA nor ECDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keypair.Parse(c.password, now, c.blobs...)
			if got := reason(t, err); !strings.Contains(got, c.want) || !strings.HasSuffix(got, ".") && !strings.Contains(got, "openssl") {
				t.Errorf("says %q, not %q", got, c.want)
			}
		})
	}
}

// work makes a PFX's first two-round derivation one of 0x7fffffff rounds, of the same length in DER as 0x00000002 is not:
// it rewrites the outermost MAC's round count, which is the file's last integer.
func work(t *testing.T, pfx []byte) []byte {
	t.Helper()
	if !slices.Equal(pfx[len(pfx)-3:], []byte{2, 1, 2}) {
		t.Fatalf("ends in % x", pfx[len(pfx)-3:])
	}
	// Three more bytes in the last integer, its sequence (short form) and the whole (long form of two bytes).
	out := append(slices.Clone(pfx[:len(pfx)-3]), 2, 4, 0x7f, 0xff, 0xff, 0xff)
	if out[1] != 0x82 {
		t.Fatalf("begins with % x", out[:4])
	}
	n := int(out[2])<<8 | int(out[3])
	out[2], out[3] = byte((n+3)>>8), byte(n+3)
	for i := len(pfx) - 4; i > 0; i-- { // the sequence that ends with the file
		if out[i] == 0x30 && int(out[i+1]) == len(pfx)-i-2 {
			out[i+1] += 3
			return out
		}
	}
	t.Fatal("no MAC")
	return nil
}

// TestFromPEM takes nothing but its own form.
func TestFromPEM(t *testing.T) {
	w := newWorld(t)
	key := keyPEM(t, w.leaf.key)
	for name, c := range map[string]struct {
		chain, key []byte
		want       string
	}{
		"wrong order":    {certPEM(w.middle, w.leaf), key, "not in order"},
		"a hole":         {certPEM(w.leaf, w.root), key, "not in order"},
		"another's key":  {certPEM(w.leaf, w.middle), keyPEM(t, newKey(t)), "not that of the certificate"},
		"two keys":       {certPEM(w.leaf), append(slices.Clone(key), key...), "one private key"},
		"key in chain":   {append(certPEM(w.leaf), key...), key, "not one of PEM certificates"},
		"rubbish behind": {append(certPEM(w.leaf), "x"...), key, "not one of PEM certificates"},
		"nothing":        {nil, key, "no certificate"},
		"authority":      {certPEM(w.middle), keyPEM(t, w.middle.key), "authority"},
		"too large":      {make([]byte, keypair.MaxBytes), key, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keypair.FromPEM(c.chain, c.key, now)
			if got := reason(t, err); !strings.Contains(got, c.want) {
				t.Errorf("says %q, not %q", got, c.want)
			}
		})
	}
}

// TestUnsetClock takes a certificate at the first start, before the clock is set, unless it has expired even then.
func TestUnsetClock(t *testing.T) {
	w := newWorld(t)
	if _, err := keypair.Parse("", time.Unix(1000, 0), certPEM(w.leaf, w.middle), keyPEM(t, w.leaf.key)); err != nil {
		t.Error(err)
	}
}

// TestChoice looks at what is put in the chain where there is a choice.
func TestChoice(t *testing.T) {
	w := newWorld(t)
	// The same key was used for a renewed certificate, and the authority is signed by an older root as well.
	tmpl := leafTemplate()
	tmpl.NotAfter = now.AddDate(0, 6, 0)
	renewed := w.middle.issue(t, tmpl, w.leaf.key)
	elder := (*authority)(nil).issue(t, caTemplate("Elder root"), newKey(t))
	cross := elder.issue(t, caTemplate("Root of tests"), w.root.key)
	p, err := keypair.Parse("", now, certPEM(w.leaf, w.root, elder, w.middle, renewed, cross), keyPEM(t, w.leaf.key))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Leaf().Equal(renewed.cert) {
		t.Error("the older certificate was taken")
	}
	if len(p.Chain) != 3 || !p.Chain[2].Equal(cross.cert) || !p.Root.Equal(elder.cert) {
		t.Errorf("chain of %d", len(p.Chain))
	}
	// An expired cross-signature leads nowhere.
	old := caTemplate("Root of tests")
	old.NotAfter = now.AddDate(0, 0, -1)
	p, err = keypair.Parse("", now, certPEM(w.leaf, elder.issue(t, old, w.root.key), w.root, w.middle), keyPEM(t, w.leaf.key))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Chain) != 2 || !p.Root.Equal(w.root.cert) {
		t.Errorf("chain of %d, root %v", len(p.Chain), p.Root)
	}
}

func TestWarnings(t *testing.T) {
	w := newWorld(t)
	self := (*authority)(nil).issue(t, leafTemplate(), newKey(t))
	selfCA := leafTemplate() // as openssl req -x509 makes them
	selfCA.IsCA, selfCA.BasicConstraintsValid, selfCA.KeyUsage, selfCA.ExtKeyUsage = true, true, 0, nil
	short := leafTemplate()
	short.NotAfter = now.AddDate(0, 0, 5)
	openssl, ending := (*authority)(nil).issue(t, selfCA, newKey(t)), w.middle.issue(t, short, newKey(t))
	for name, c := range map[string]struct {
		of    *authority
		blobs []byte
		want  []string
	}{
		"private, whole":        {w.leaf, certPEM(w.leaf, w.middle, w.root), []string{"not publicly trusted"}},
		"no intermediate":       {w.leaf, certPEM(w.leaf), []string{"“Middle of tests” issued, which is neither in it nor publicly trusted"}},
		"self-signed":           {self, certPEM(self), []string{"self-signed"}},
		"self-signed authority": {openssl, certPEM(openssl), []string{"self-signed"}},
		"ending":                {ending, certPEM(ending, w.middle, w.root), []string{"not publicly trusted", "ends soon, on 6 March 2027"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := keypair.Parse("", now, c.blobs, keyPEM(t, c.of.key))
			if err != nil {
				t.Fatal(err)
			}
			got := p.Warnings(now)
			if len(got) != len(c.want) {
				t.Fatalf("says %q", got)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("says %q, not %q", got[i], want)
				}
			}
		})
	}
}
