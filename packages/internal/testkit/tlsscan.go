package testkit

import (
	"encoding/xml"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// scanned is what sslscan says of a port (its XML, version 2).
type scanned struct {
	Test struct {
		Protocols []struct {
			Type    string `xml:"type,attr"`
			Version string `xml:"version,attr"`
			Enabled int    `xml:"enabled,attr"`
		} `xml:"protocol"`
		Renegotiation struct {
			Supported int `xml:"supported,attr"`
		} `xml:"renegotiation"`
		Compression struct {
			Supported int `xml:"supported,attr"`
		} `xml:"compression"`
		Heartbleed []struct {
			Vulnerable int `xml:"vulnerable,attr"`
		} `xml:"heartbleed"`
		Ciphers []struct {
			Version  string `xml:"sslversion,attr"`
			Bits     int    `xml:"bits,attr"`
			Name     string `xml:"cipher,attr"`
			Strength string `xml:"strength,attr"`
		} `xml:"cipher"`
		Groups []struct {
			Bits int    `xml:"bits,attr"`
			Name string `xml:"name,attr"`
		} `xml:"group"`
		Certificates []struct {
			Signature string `xml:"signature-algorithm"`
			Key       struct {
				Type string `xml:"type,attr"`
				Bits int    `xml:"bits,attr"`
			} `xml:"pk"`
		} `xml:"certificates>certificate"`
	} `xml:"ssltest"`
}

// ScanTLS lets sslscan and openssl judge what the port at addr offers: TLS 1.2 and 1.3 with authenticated ciphers, forward secrecy
// and no weak groups or keys, and none of the old holes. It serves ECDSA and RSA, each to who asks for it, with certificates
// that one of the authorities in caFile has signed, for localhost.
func ScanTLS(t testing.TB, addr, caFile string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sslscan", "--no-colour", "--xml=-", "--sni-name=localhost", addr).Output()
	if err != nil {
		t.Fatalf("sslscan (Debian package sslscan): %v\n%s", err, out)
	}
	var s scanned
	if err := xml.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	offered := s.Test
	var versions []string
	for _, p := range offered.Protocols {
		if p.Enabled != 0 {
			versions = append(versions, p.Type+p.Version)
		}
	}
	if !slices.Equal(versions, []string{"tls1.2", "tls1.3"}) || len(offered.Protocols) < 6 {
		t.Errorf("offers %v", versions)
	}
	if offered.Renegotiation.Supported != 0 || offered.Compression.Supported != 0 {
		t.Errorf("renegotiation %v, compression %v", offered.Renegotiation, offered.Compression)
	}
	for _, h := range offered.Heartbleed {
		if h.Vulnerable != 0 {
			t.Error("heartbleed")
		}
	}
	var ecdsa, rsa, fixed int
	for _, c := range offered.Ciphers {
		authenticated := strings.Contains(c.Name, "GCM") || strings.Contains(c.Name, "POLY1305")
		secret := c.Version == "TLSv1.3" || strings.HasPrefix(c.Name, "ECDHE-")
		if c.Bits < 128 || !authenticated || !secret || c.Strength != "strong" && c.Version != "TLSv1.3" {
			t.Errorf("offers %+v", c)
		}
		switch {
		case strings.HasPrefix(c.Name, "ECDHE-ECDSA-"):
			ecdsa++
		case strings.HasPrefix(c.Name, "ECDHE-RSA-"):
			rsa++
		default:
			fixed++
		}
	}
	if ecdsa != 3 || rsa != 3 || fixed != 3 || len(offered.Heartbleed) == 0 {
		t.Errorf("scanned less than there is:\n%s", out)
	}
	for _, g := range offered.Groups {
		if g.Bits < 128 {
			t.Errorf("offers %s", g.Name)
		}
	}
	// Of an ECDSA key sslscan says the strength, of an RSA key the length.
	for _, c := range offered.Certificates {
		if c.Key.Type == "EC" && c.Key.Bits < 128 || c.Key.Type == "RSA" && c.Key.Bits < 2048 || strings.Contains(c.Signature, "sha1") || strings.Contains(c.Signature, "md5") {
			t.Errorf("certificate %+v", c)
		}
	}
	if len(offered.Groups) == 0 || len(offered.Certificates) == 0 {
		t.Errorf("scanned less than there is:\n%s", out)
	}
	askOpenSSL(t, addr, caFile)
}

// askOpenSSL shakes hands as clients do that take one kind of key only.
func askOpenSSL(t testing.TB, addr, caFile string) {
	t.Helper()
	for _, c := range []struct{ version, algorithms, wants string }{
		{"-tls1_2", "ECDSA+SHA256", "Peer signature type: ECDSA"},
		{"-tls1_2", "RSA-PSS+SHA256:RSA+SHA256", "Peer signature type: RSA"},
		{"-tls1_2", "RSA+SHA256", "Peer signature type: RSA"},
		{"-tls1_3", "ecdsa_secp256r1_sha256", "Peer signature type: ECDSA"},
		{"-tls1_3", "rsa_pss_rsae_sha256", "Peer signature type: RSA-PSS"},
	} {
		cmd := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", addr, "-servername", "localhost", "-verify_hostname", "localhost",
			"-CAfile", caFile, "-verify_return_error", c.version, "-sigalgs", c.algorithms)
		out, err := cmd.CombinedOutput()
		text := string(out)
		if err != nil || !strings.Contains(text, c.wants) || !strings.Contains(text, "Verify return code: 0 (ok)") || !strings.Contains(text, "Compression: NONE") ||
			c.version == "-tls1_2" && !strings.Contains(text, "Secure Renegotiation IS supported") {
			t.Errorf("%s, %s: %v\n%s", c.version, c.algorithms, err, text)
		}
	}
}
