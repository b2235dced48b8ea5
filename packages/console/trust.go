package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"text/template"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/keypair"
)

// letsEncrypt is who runs Let's Encrypt, as its roots are called.
const letsEncrypt = "Internet Security Research Group"

// anchors are what a client has to trust to believe this device now and later: the device's own authority first, then what
// its public names are served under, or will be once certificates for them are ordered.
func (c *console) anchors(ctx context.Context, s certificateStatus, ca *x509.Certificate) ([]*x509.Certificate, error) {
	list := append([]*x509.Certificate{ca}, keypair.PublicRoots(letsEncrypt)...)
	given, err := c.acmeRoots(ctx)
	if err != nil {
		return nil, err
	}
	for _, root := range given {
		if !slices.ContainsFunc(list, root.Equal) {
			list = append(list, root)
		}
	}
	for _, p := range s.Certificates {
		chain := p.chain()
		if !p.Public || chain == nil {
			continue
		}
		root, err := c.rootOf(ctx, p.Name, chain, list)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, root.Equal) {
			list = append(list, root)
		}
	}
	return list, nil
}

// rootOf returns what a client has to trust to believe in the pair name: one of known or the public root above it, the root
// that came with it, itself if it is self-signed, or else the last of its chain.
func (c *console) rootOf(ctx context.Context, name string, chain, known []*x509.Certificate) (*x509.Certificate, error) {
	last := chain[len(chain)-1]
	for _, root := range known {
		if last.CheckSignatureFrom(root) == nil {
			return root, nil
		}
	}
	if root := keypair.PublicRoot(chain); root != nil {
		return root, nil
	}
	kept, err := c.keptRoot(ctx, name)
	if err != nil {
		return nil, err
	}
	if kept != nil && last.CheckSignatureFrom(kept) == nil {
		return kept, nil
	}
	return last, nil
}

// serveAPICertificate is the certificate call of the signage players of documents 001, 002 and 004: they save
// certificate and trust it.
func (c *console) serveAPICertificate(w http.ResponseWriter, r *http.Request) {
	s, ca, err := c.authority(r.Context())
	var anchors []*x509.Certificate
	if err == nil {
		anchors, err = c.anchors(r.Context(), s, ca)
	}
	if err != nil {
		w.Header().Set("Retry-After", "5")
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "the certificate is not at hand; try again in a moment"})
		return
	}
	whole := certs.Fingerprint(ca)
	leaf := ""
	if first, err := parseCertificate(s.ChainPEM); err == nil {
		leaf = certs.Fingerprint(first)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"certificate":        string(certs.EncodePEM(anchors...)),
		"certificate_format": "PEM",
		"certificate_info": map[string]string{
			"subject":     ca.Subject.String(),
			"issuer":      ca.Issuer.String(),
			"valid_from":  ca.NotBefore.UTC().Format(time.RFC3339),
			"valid_until": ca.NotAfter.UTC().Format(time.RFC3339),
			"fingerprint": whole,
		},
		"fingerprints":             map[string]string{"ca_sha256": whole, "leaf_sha256": leaf},
		"chain":                    s.ChainPEM,
		"integration_instructions": instructions(httpsHost(r), s.Names),
	})
}

// instructions say for each platform how to trust what /api/certificate gives.
func instructions(host string, names []string) map[string]string {
	return map[string]string{
		"python_requests": "save certificate to a file and set session.verify to its path; the file stays right when certificates are renewed. REQUESTS_CA_BUNDLE in the environment goes before it: unset that",
		"kivy":            "save certificate to a file and give its path to ssl.SSLContext.load_verify_locations",
		"curl":            "save certificate to porthole.pem and call curl --cacert porthole.pem https://" + host + "/",
		"debian":          "save https://" + host + "/ca.crt as /usr/local/share/ca-certificates/porthole.crt and run update-ca-certificates",
		"windows":         "open https://" + host + "/ca.cer, Install Certificate, into Trusted Root Certification Authorities",
		"macos":           "open https://" + host + "/ca.pem in Keychain Access and choose Always Trust",
		"ios":             "open https://" + host + "/ca.mobileconfig in Safari, install the profile, then switch it on in Settings, General, About, Certificate Trust Settings",
		"android":         "open https://" + host + "/ca.crt, then Settings, Security, More, Install a certificate, CA certificate",
		"browser":         "open https://" + host + "/trust, which explains it",
		"fingerprint":     "compare fingerprints.ca_sha256 with the one on the device's screen or in its console before you trust it",
		"covers":          strings.Join(names, ", "),
	}
}

// caFile is a form in which the authority's certificate can be downloaded.
type caFile struct {
	path, name, mime string
	encode           func(ca *x509.Certificate, hostname string) ([]byte, error)
}

// caFiles are all of them. Phones offer to install application/x-x509-ca-cert; Windows and Android go by the name.
func caFiles() []caFile {
	const mime = "application/x-x509-ca-cert"
	text := func(ca *x509.Certificate, _ string) ([]byte, error) { return certs.EncodePEM(ca), nil }
	der := func(ca *x509.Certificate, _ string) ([]byte, error) { return ca.Raw, nil }
	return []caFile{
		{"/ca.pem", "porthole-ca.pem", mime, text},
		{"/ca.crt", "porthole-ca.crt", mime, text},
		{"/ca.cer", "porthole-ca.cer", mime, der},
		{"/ca.der", "porthole-ca.der", mime, der},
		{"/ca.mobileconfig", "porthole-ca.mobileconfig", "application/x-apple-aspen-config", mobileConfig},
	}
}

// serveCA hands out the certificate of our authority, for people to trust. It is public by nature.
func (c *console) serveCA(f caFile) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, ca, err := c.authority(r.Context())
		if err != nil {
			w.Header().Set("Retry-After", "5")
			c.sorry(w, r, http.StatusServiceUnavailable, "Not ready", "system does not answer, so the certificate is not at hand. Try again in a moment.")
			return
		}
		hostname, err := setting(r.Context(), c.store.r, "hostname")
		var b []byte
		if err == nil {
			b, err = f.encode(ca, hostname)
		}
		if err != nil {
			c.failed(w, r, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.mime)
		h.Set("Content-Disposition", `attachment; filename="`+f.name+`"`)
		w.Write(b)
	}
}

// profile is a configuration profile with one root certificate (Apple, "Configuration Profile Reference", CertificateRoot).
var profile = template.Must(template.New("profile").Parse(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
		<dict>
			<key>PayloadCertificateFileName</key>
			<string>porthole-ca.cer</string>
			<key>PayloadContent</key>
			<data>{{.DER}}</data>
			<key>PayloadDescription</key>
			<string>Makes this device trust the certificates of {{.Name}}.</string>
			<key>PayloadDisplayName</key>
			<string>{{.CA}}</string>
			<key>PayloadIdentifier</key>
			<string>porthole.ca.{{.Inner}}</string>
			<key>PayloadType</key>
			<string>com.apple.security.root</string>
			<key>PayloadUUID</key>
			<string>{{.Inner}}</string>
			<key>PayloadVersion</key>
			<integer>1</integer>
		</dict>
	</array>
	<key>PayloadDescription</key>
	<string>After installing it, switch it on in Settings, General, About, Certificate Trust Settings. SHA-256: {{.Fingerprint}}</string>
	<key>PayloadDisplayName</key>
	<string>Porthole {{.Name}}</string>
	<key>PayloadIdentifier</key>
	<string>porthole.trust.{{.Outer}}</string>
	<key>PayloadRemovalDisallowed</key>
	<false/>
	<key>PayloadType</key>
	<string>Configuration</string>
	<key>PayloadUUID</key>
	<string>{{.Outer}}</string>
	<key>PayloadVersion</key>
	<integer>1</integer>
</dict>
</plist>
`))

// mobileConfig is the profile that iPhones, iPads and Macs install. Its UUIDs are those of the authority: a profile that is
// installed again takes the former's place.
func mobileConfig(ca *x509.Certificate, hostname string) ([]byte, error) {
	text := func(s string) string {
		var b bytes.Buffer
		_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
		return b.String()
	}
	whole := certs.Fingerprint(ca)
	var b bytes.Buffer
	err := profile.Execute(&b, map[string]string{
		"DER": base64.StdEncoding.EncodeToString(ca.Raw), "Name": text(hostname), "CA": text(ca.Subject.CommonName), "Fingerprint": whole,
		"Inner": uuidOf("certificate", ca), "Outer": uuidOf("profile", ca),
	})
	if err != nil {
		return nil, fmt.Errorf("write profile: %w", err)
	}
	return b.Bytes(), nil
}

// uuidOf is a UUID of version 8 (RFC 9562 section 5.8) for a use of a certificate.
func uuidOf(use string, c *x509.Certificate) string {
	sum := sha256.Sum256(append([]byte("porthole "+use+"\x00"), c.Raw...))
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	h := strings.ToUpper(hex.EncodeToString(u))
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// trustPage explains to anybody, logged in or not, how to trust this device, and what that means.
func (c *console) trustPage(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, http.StatusOK, "trust", page{Title: "Trust this device", Body: struct {
		CA   *certificateView
		Host string
	}{c.certificateFor(r), httpsHost(r)}})
}

// httpsHost is where r's host is reached with TLS: proxy says on which port, on what came without.
func httpsHost(r *http.Request) string {
	port := r.Header.Get("Porthole-HTTPS-Port")
	if port == "" {
		return r.Host
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host = strings.Trim(host, "[]"); port != "443" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
