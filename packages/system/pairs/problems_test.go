package pairs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/system/pairs"
)

// until makes a pair for names that is valid from one time to another.
func until(t *testing.T, from, to time.Time, names ...string) pem {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: from, NotAfter: to, DNSNames: names}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem{
		string(encoding.EncodeToMemory(&encoding.Block{Type: "CERTIFICATE", Bytes: der})),
		string(encoding.EncodeToMemory(&encoding.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	}
}

// TestProblems: the owner hears in time, and in words, of public certificates that end; never of the device's own here.
func TestProblems(t *testing.T) {
	end := time.Date(2027, time.March, 9, 15, 4, 5, 0, time.UTC)
	const day = 24 * time.Hour
	const upload = " Upload a new one on the page Settings, Certificate."
	const renewed = " It should have been renewed by itself: Settings, Certificate says why it was not."
	for name, c := range map[string]struct {
		pairs    map[string]time.Duration // their whole lives
		left     time.Duration
		problems []string
	}{
		"nothing public":       {map[string]time.Duration{pairs.Device: 397 * day, pairs.DeviceRSA: 397 * day}, -day, nil},
		"long to go":           {map[string]time.Duration{pairs.Own: 365 * day}, 31 * day, nil},
		"a month":              {map[string]time.Duration{pairs.Own: 365 * day}, 30*day - time.Hour, []string{"The certificate for cam.example.org, www.example.org ends in 29 days, on 9 March 2027." + upload}},
		"renewed in time":      {map[string]time.Duration{pairs.ACME: 90 * day, pairs.ACMERSA: 90 * day}, 29 * day, nil},
		"not renewed":          {map[string]time.Duration{pairs.ACME: 90 * day, pairs.ACMERSA: 90 * day}, 6*day + time.Hour, []string{"The certificate for cam.example.org, www.example.org ends in 6 days, on 9 March 2027." + renewed}},
		"one day":              {map[string]time.Duration{pairs.ACMERSA: 90 * day}, 30 * time.Hour, []string{"The certificate for cam.example.org, www.example.org ends in 1 day, on 9 March 2027." + renewed}},
		"today":                {map[string]time.Duration{pairs.OwnRSA: 90 * day}, 3 * time.Hour, []string{"The certificate for cam.example.org, www.example.org ends within a day, at 15:04 on 9 March 2027 UTC." + upload}},
		"short-lived":          {map[string]time.Duration{pairs.ACME: 160 * time.Hour}, 40 * time.Hour, nil},
		"short-lived, at last": {map[string]time.Duration{pairs.ACME: 160 * time.Hour}, 31 * time.Hour, []string{"The certificate for cam.example.org, www.example.org ends in 1 day, on 9 March 2027." + renewed}},
		"ended": {map[string]time.Duration{pairs.Own: 90 * day, pairs.ACME: 90 * day}, -time.Second, []string{
			"The certificate for cam.example.org, www.example.org ended on 9 March 2027: clients refuse it, so the device's own is used instead." + renewed,
			"The certificate for cam.example.org, www.example.org ended on 9 March 2027: clients refuse it, so the device's own is used instead." + upload,
		}},
		"clock not set": {map[string]time.Duration{pairs.Own: 100 * 365 * day}, end.Sub(time.Unix(100, 0)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			for name, life := range c.pairs {
				s.publish(name, until(t, end.Add(-life), end, "cam.example.org", "www.example.org"))
			}
			if diff := cmp.Diff(c.problems, s.Problems(end.Add(-c.left))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDamagedPair is said, does not hide the others, and is told once in the log.
func TestDamagedPair(t *testing.T) {
	s := newShop(t)
	p, other := newPEM(t, "cam"), newPEM(t, "other")
	s.publish(pairs.Own, p)
	s.publish(pairs.ACME, p)
	if err := os.WriteFile(filepath.Join(s.Path(pairs.Own), "privkey.pem"), []byte(other.key), 0o640); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Refresh()
	}
	want := []string{"The certificate in the folder own is damaged and not used. Upload it again on the page Settings, Certificate."}
	if diff := cmp.Diff(want, s.Problems(time.Time{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if l := s.List(); len(l) != 1 || l[0].Name != pairs.ACME {
		t.Errorf("%+v", l)
	}
	if got := strings.Count(s.log.String(), "a certificate is damaged"); got != 1 {
		t.Errorf("told %d times", got)
	}
	s.publish(pairs.Own, p)
	if s.Problems(time.Time{}) != nil || len(s.List()) != 2 {
		t.Error("still damaged")
	}
}
