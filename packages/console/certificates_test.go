package main_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/keypair"
	"porthole/packages/internal/provision"
)

// issued is a server's certificate of an authority that nobody knows.
type issued struct {
	root, leaf *x509.Certificate
	key        crypto.Signer
}

func issue(t *testing.T, key crypto.Signer, names ...string) issued {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "House CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	sign := func(c, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	made := issued{key: key}
	made.root = sign(root, root, rootKey.Public())
	made.leaf = sign(leaf, made.root, key.Public())
	return made
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (i issued) keyPEM() string { return string(keypair.Pair{Key: i.key}.KeyPEM()) }

// uploadForm is the form of the page of own certificates.
func uploadForm(t *testing.T, password, text string, files ...[]byte) (ctype string, body *bytes.Buffer) {
	t.Helper()
	body = &bytes.Buffer{}
	m := multipart.NewWriter(body)
	for n, f := range files {
		part, err := m.CreateFormFile("file", "file"+string(rune('0'+n)))
		if err != nil {
			t.Fatal(err)
		}
		part.Write(f)
	}
	if len(files) == 0 { // what a browser sends where no file was chosen
		if _, err := m.CreateFormFile("file", ""); err != nil {
			t.Fatal(err)
		}
	}
	m.WriteField("text", text)
	m.WriteField("password", password)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), body
}

const ownPath = "/settings/certificate/own"

func (b *browser) uploadCertificate(password, text string, files ...[]byte) answer {
	b.t.Helper()
	ctype, body := uploadForm(b.t, password, text, files...)
	return b.raw(http.MethodPost, ownPath, ctype, body)
}

// TestOwnCertificate uploads what people have, and removes it again.
func TestOwnCertificate(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.claimed()
	expect(t, "at first", b.get(ownPath).body, "None yet.", `!Remove`)
	one := issue(t, ecKey(t), "cam.example.org", "www.cam.example.org")
	pfx, err := pkcs12.Modern2023.Encode(one.key, one.leaf, []*x509.Certificate{one.root}, "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	pasted := string(certs.EncodePEM(one.leaf))
	for name, c := range map[string]struct {
		password, text string
		files          [][]byte
		want           []string
	}{
		"nothing":        {"", "", nil, []string{"Nothing came"}},
		"empty file":     {"", " \n", [][]byte{nil}, []string{"Nothing came"}},
		"a letter":       {"", "Dear authority", nil, []string{"no certificate and no key that can be read", "Dear authority"}},
		"no key":         {"", pasted, nil, []string{"There is no private key", "-----BEGIN CERTIFICATE-----\n"}},
		"another's key":  {"", pasted + issue(t, ecKey(t), "x.example.org").keyPEM(), nil, []string{"belongs to another certificate than the one for cam.example.org", "!BEGIN PRIVATE KEY"}},
		"wrong password": {"hunter", "", [][]byte{pfx}, []string{"The password is wrong", `aria-invalid="true"`}},
		"no password":    {"", "", [][]byte{pfx}, []string{"It is encrypted"}},
		"too large":      {"", "", [][]byte{make([]byte, keypair.MaxBytes+(128<<10))}, []string{"too large"}},
	} {
		a := b.uploadCertificate(c.password, c.text, c.files...)
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, a.status)
		}
		checkPage(t, name, a)
		expect(t, name, a.body, c.want...)
	}
	if a := b.post(ownPath, "text", "x"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "did not arrive whole") {
		t.Errorf("another form: %d", a.status)
	}
	s.mu.Lock()
	s.refuses = "The disk is full."
	s.mu.Unlock()
	if a := b.uploadCertificate("hunter2", "", pfx); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "The disk is full.") {
		t.Errorf("refused by system: %d", a.status)
	}
	s.mu.Lock()
	s.refuses = ""
	s.mu.Unlock()
	if len(s.said()) != 0 {
		t.Fatalf("something was put into service: %q", s.said())
	}

	if a := b.uploadCertificate("hunter2", "", pfx); a.status != http.StatusSeeOther || a.location != ownPath {
		t.Fatalf("upload: %d\n%s", a.status, a.body)
	}
	a := b.get(ownPath)
	checkPage(t, "own certificate", a)
	expect(t, "own certificate", a.body, "in service now", "cam.example.org, www.cam.example.org", "House CA", "ECDSA P-256", "“House CA” is not publicly trusted", "Replace it")
	// Beside it one with an RSA key, in pieces.
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	two := issue(t, rsaKey, "cam.example.org", "www.cam.example.org")
	if a := b.uploadCertificate("", two.keyPEM(), two.leaf.Raw); a.status != http.StatusSeeOther {
		t.Fatalf("upload in pieces: %d\n%s", a.status, a.body)
	}
	expect(t, "both", b.get(ownPath).body, "RSA 2048", "ECDSA P-256", "which is neither in it nor publicly trusted")
	page := b.get("/certificate")
	checkPage(t, "certificate", page)
	expect(t, "certificate", page.body, "Your own, from House CA", "clients that name no server", `href="`+ownPath+`"`, "Made by this device")

	var got struct{ Certificate string }
	if err := json.Unmarshal([]byte(b.get("/api/certificate").body), &got); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.Certificate, string(certs.EncodePEM(one.root))) {
		t.Error("the root that came with the certificate is not among what clients are given to trust")
	}

	expect(t, "sure?", b.get(ownPath+"/own/remove").body, "Its key is deleted", "cam.example.org")
	if a := b.post(ownPath + "/own/remove"); a.status != http.StatusSeeOther {
		t.Errorf("remove: %d\n%s", a.status, a.body)
	}
	expect(t, "after", b.get(ownPath).body, "was removed", "RSA 2048", "!ECDSA P-256")
	for _, path := range []string{"/own/remove", "/device/remove", "/acme/remove"} {
		if a := b.post(ownPath + path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	want := []string{"put own by admin: uploaded on the settings page", "put own-rsa by admin: uploaded on the settings page", "drop own by admin: removed on the settings page"}
	if got := s.said(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("system was told %q", got)
	}
	if err := json.Unmarshal([]byte(b.get("/api/certificate").body), &got); err != nil || strings.Contains(got.Certificate, string(certs.EncodePEM(one.root))) {
		t.Errorf("the root of a certificate that is gone is still given out (%v)", err)
	}
	if strings.Contains(d.log.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

// TestCertificateFromCard: files beside porthole.toml are put into service once, and what is wrong with them is told.
func TestCertificateFromCard(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	one := issue(t, ecKey(t), "cam.example.org")
	pfx, err := pkcs12.Modern2023.Encode(one.key, one.leaf, []*x509.Certificate{one.root}, "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	s.offerFiles("one", provision.File{AdminPassword: password, CertificatePassword: "hunter2"}, map[string][]byte{"certificate.pfx": pfx})
	d.peer("system", s)
	d.start()
	d.took(s, "one")
	want := "put own by the card: from certificate.pfx on the boot partition"
	if got := s.said(); len(got) != 1 || got[0] != want {
		t.Fatalf("system was told %q", got)
	}
	// Again after a restart, which takes nothing; then other files, which do not fit.
	d.stop()
	d.start()
	d.took(s, "one")
	d.stop()
	s.offerFiles("two", provision.File{}, map[string][]byte{"certificate.pfx": pfx, "certificate.pem": certs.EncodePEM(one.leaf)})
	d.start()
	d.took(s, "two")
	d.stop()
	d.start()
	eventually(t, "the files that were refused stay on the card, after a restart too", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Equal(s.kept, []string{"two", "two"})
	})
	if got := s.said(); len(got) != 1 {
		t.Fatalf("system was told %q", got)
	}
	b := d.browser()
	if a := b.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("log in: %d", a.status)
	}
	expect(t, "home", b.get("/").body, "certificate.pem, certificate.pfx", "the password is missing or wrong")
}

// TestTrustFiles reads every form of the authority's certificate as the platforms do.
func TestTrustFiles(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.browser()
	block, _ := pem.Decode([]byte(s.ca))
	dir := t.TempDir()
	for path, c := range map[string]struct {
		mime string
		want []byte
	}{
		"/ca.pem": {"application/x-x509-ca-cert", []byte(s.ca)}, "/ca.crt": {"application/x-x509-ca-cert", []byte(s.ca)},
		"/ca.der": {"application/x-x509-ca-cert", block.Bytes}, "/ca.cer": {"application/x-x509-ca-cert", block.Bytes},
		"/ca.mobileconfig": {"application/x-apple-aspen-config", nil},
	} {
		a := b.get(path)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != c.mime || !strings.Contains(a.header.Get("Content-Disposition"), "porthole-"+path[1:]) || c.want != nil && a.body != string(c.want) {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(a.body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if again := b.get("/ca.mobileconfig").body; again == "" || again != string(mustRead(t, filepath.Join(dir, "ca.mobileconfig"))) {
		t.Error("the profile is another one each time")
	}
	// Apple's form, read by another implementation.
	script := `
import plistlib, sys, uuid, json
p = plistlib.load(open(sys.argv[1], 'rb'))
c, = p['PayloadContent']
for part, kind in ((p, 'Configuration'), (c, 'com.apple.security.root')):
    assert part['PayloadType'] == kind and part['PayloadVersion'] == 1, part
    assert str(uuid.UUID(part['PayloadUUID'])).upper() == part['PayloadUUID'], part
    assert part['PayloadIdentifier'] and part['PayloadDisplayName'], part
assert p['PayloadUUID'] != c['PayloadUUID'] and p['PayloadIdentifier'] != c['PayloadIdentifier']
assert p['PayloadRemovalDisallowed'] is False
assert c['PayloadContent'] == open(sys.argv[2], 'rb').read()
print(p['PayloadDisplayName'])
`
	out, err := exec.CommandContext(t.Context(), "python3", "-c", script, filepath.Join(dir, "ca.mobileconfig"), filepath.Join(dir, "ca.der")).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "Porthole porthole" {
		t.Errorf("the profile: %v\n%s", err, out)
	}
	// The page is for everybody, and says what the files are compared with.
	page := b.get("/trust")
	checkPage(t, "trust", page)
	var got struct {
		Fingerprints map[string]string
		Chain        string
		Instructions map[string]string `json:"integration_instructions"`
	}
	b.header = http.Header{"Porthole-Https-Port": {"8443"}}
	if err := json.Unmarshal([]byte(b.get("/api/certificate").body), &got); err != nil {
		t.Fatal(err)
	}
	expect(t, "trust", page.body, got.Fingerprints["ca_sha256"], got.Fingerprints["ca_sha256"][:23]+"<", `href="/ca.mobileconfig"`, "https://porthole.lan:8443/")
	if got.Chain != s.chain || got.Fingerprints["leaf_sha256"] == "" || !strings.Contains(got.Instructions["ios"], "https://porthole.lan:8443/ca.mobileconfig") {
		t.Errorf("got %+v", got)
	}
	out, err = exec.CommandContext(t.Context(), "openssl", "x509", "-in", filepath.Join(dir, "ca.cer"), "-inform", "DER", "-noout", "-fingerprint", "-sha256").CombinedOutput()
	if err != nil || !strings.Contains(string(out), got.Fingerprints["ca_sha256"]) {
		t.Errorf("%v %s", err, out)
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
