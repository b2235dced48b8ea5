package keypair_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/keypair"
)

// TestOpenSSL reads what the program that most people use writes.
func TestOpenSSL(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	w := newWorld(t)
	for name, b := range map[string][]byte{"key.pem": keyPEM(t, w.leaf.key), "leaf.pem": certPEM(w.leaf), "more.pem": certPEM(w.root, w.middle)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", "key.pem", "-out", "aes.pem", "-passout", "pass:secret")
	run("pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1", "-in", "key.pem", "-outform", "DER", "-out", "sha1.der", "-passout", "pass:secret")
	run("pkcs8", "-topk8", "-v2", "des3", "-in", "key.pem", "-out", "des3.pem", "-passout", "pass:secret")
	run("ec", "-aes256", "-in", "key.pem", "-out", "ec.pem", "-passout", "pass:secret")
	run("pkcs12", "-export", "-inkey", "key.pem", "-in", "leaf.pem", "-certfile", "more.pem", "-out", "new.pfx", "-passout", "pass:secret")
	run("pkcs12", "-export", "-legacy", "-inkey", "key.pem", "-in", "leaf.pem", "-certfile", "more.pem", "-out", "old.pfx", "-passout", "pass:secret")
	run("pkcs12", "-export", "-keypbe", "NONE", "-certpbe", "NONE", "-nomac", "-inkey", "key.pem", "-in", "leaf.pem", "-certfile", "more.pem", "-out", "open.pfx", "-passout", "pass:")
	run("x509", "-in", "leaf.pem", "-outform", "DER", "-out", "leaf.der")
	run("pkcs8", "-topk8", "-scrypt", "-in", "key.pem", "-out", "scrypt.pem", "-passout", "pass:secret")
	run("crl2pkcs7", "-nocrl", "-certfile", "leaf.pem", "-outform", "DER", "-out", "chain.p7b")

	for _, files := range [][]string{
		{"aes.pem", "leaf.pem", "more.pem"}, {"sha1.der", "leaf.der", "more.pem"}, {"des3.pem", "leaf.der", "more.pem"},
		{"ec.pem", "leaf.pem", "more.pem"}, {"new.pfx"}, {"old.pfx"},
	} {
		var blobs [][]byte
		for _, f := range files {
			blobs = append(blobs, file(f))
		}
		p, err := keypair.Parse("secret", now, blobs...)
		if err != nil || len(p.Chain) != 2 || p.Root == nil {
			t.Errorf("%s: %v, chain of %d", files, err, len(p.Chain))
		}
		_, err = keypair.Parse("wrong", now, blobs...)
		if got := reason(t, err); !strings.Contains(got, "password is wrong") {
			t.Errorf("%s, wrong password: says %q", files, got)
		}
		_, err = keypair.Parse("", now, blobs...)
		if got := reason(t, err); !strings.Contains(got, "is encrypted") {
			t.Errorf("%s, no password: says %q", files, got)
		}
	}
	if _, err := keypair.Parse("", now, file("open.pfx")); err != nil {
		t.Errorf("open.pfx: %v", err)
	}
	for name, want := range map[string]string{"scrypt.pem": "too much computing", "chain.p7b": "PKCS#7"} {
		_, err := keypair.Parse("secret", now, certPEM(w.leaf), file(name))
		if got := reason(t, err); !strings.Contains(got, want) {
			t.Errorf("%s: says %q", name, got)
		}
	}
	// What is written here is what openssl reads, and it finds the chain good.
	p, err := keypair.Parse("secret", now, file("new.pfx"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"fullchain.pem": p.ChainPEM(), "privkey.pem": p.KeyPEM(), "root.pem": certs.EncodePEM(p.Root)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("pkey", "-in", "privkey.pem", "-check", "-noout")
	run("verify", "-attime", "1803900000", "-CAfile", "root.pem", "-untrusted", "fullchain.pem", "-purpose", "sslserver", "fullchain.pem")
}
