package keypair_test

import (
	"crypto/x509"
	"errors"
	"testing"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"porthole/packages/internal/keypair"
)

// FuzzParse: whatever comes, it is a usable pair or a refusal in words.
func FuzzParse(f *testing.F) {
	w := newWorld(f)
	pfx := func(e *pkcs12.Encoder, password string) []byte {
		b, err := e.WithIterations(1).Encode(w.leaf.key, w.leaf.cert, []*x509.Certificate{w.middle.cert}, password)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add("", certPEM(w.leaf, w.middle), keyPEM(f, w.leaf.key))
	f.Add("", w.leaf.cert.Raw, pkcs8DER(f, w.leaf.key))
	f.Add("", pkcs8DER(f, sharedRSA()), []byte("\xff\xfe-\x00-\x00"))
	f.Add("secret", pfx(pkcs12.Modern2023, "secret"), []byte(nil))
	f.Add("", pfx(pkcs12.Passwordless.WithIterations(1), ""), []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"))
	f.Add("secret", pfx(pkcs12.LegacyDES, "secret"), certPEM(w.root))
	f.Fuzz(func(t *testing.T, password string, a, b []byte) {
		p, err := keypair.Parse(password, now, a, b)
		if err != nil {
			if r, ok := errors.AsType[*keypair.Refusal](err); !ok || r.Reason == "" {
				t.Fatalf("not a refusal: %v", err)
			}
			return
		}
		p.Warnings(now)
		if _, err := keypair.FromPEM(p.ChainPEM(), p.KeyPEM(), now); err != nil {
			t.Fatalf("a pair that was taken is refused in its own form: %v", err)
		}
	})
}
