package imports_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/imports"
	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// newForm is that of documents 002 and 004.
const newForm = `{
  "server": {
    "url": "https://192.168.0.121",
    "hostname": "player1",
    "quickconnect_code": "ABC123XYZ",
    "verify_ssl": false,
    "use_server_certificate": true,
    "certificate_path": "~/.digiserver/server_cert.pem"
  },
  "connection": {
    "timeout": 10,
    "retry_attempts": 3,
    "retry_delay": 5
  }
}
`

const oldForm = `{
	"server_ip": "digi.example.com",
	"port": "443",
	"screen_name": "tv-terrace",
	"quickconnect_key": "8887779",
	"orientation": "Portrait",
	"touch": "True",
	"zones": {"a": [1, {"b": 2}]}
}
`

func serverCertificate(tb testing.TB) string {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// report is what an import says, and what it brings for the screen; both have to agree with the porthole.toml that it makes.
func report(t *testing.T, files ...imports.File) (string, provision.Player) {
	t.Helper()
	got := imports.Read(files...)
	var b strings.Builder
	if err := got.Report(&b); err != nil {
		t.Fatal(err)
	}
	back, problems := provision.Parse(got.TOML())
	if d := cmp.Diff(got.Provision, back); d != "" || problems != nil {
		t.Errorf("%v\n%s\n%s", problems, d, got.TOML())
	}
	for _, secret := range []string{"ABC123XYZ", "8887779"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("the code is in the report:\n%s", b.String())
		}
	}
	return b.String(), got.Provision.Player
}

func TestPlayer(t *testing.T) {
	cert := serverCertificate(t)
	file := imports.File{Name: "app_config.json", Content: []byte(newForm)}
	want := provision.Player{
		Show: settings.ShowProgram, Server: "https://192.168.0.121", Hostname: "player1", QuickConnectCode: "ABC123XYZ",
		Timeout: 10, RetryAttempts: 3, RetryDelay: 5, Trust: settings.TrustFirst,
	}
	text, got := report(t, file)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, say := range []string{
		"app_config.json:3: server.url: taken over: as https://192.168.0.121\n", "app_config.json:5: server.quickconnect_code: taken over\n",
		"app_config.json:6: server.verify_ssl: changed: checking cannot be switched off here.", "app_config.json:8: server.certificate_path: changed: the file is not here",
		"app_config.json:13: connection.retry_delay: taken over\n", "the screen follows https://192.168.0.121\n", "0 lines refused",
	} {
		if !strings.Contains(text, say) {
			t.Errorf("the report lacks %q:\n%s", say, text)
		}
	}
	// With the certificate, before or after it.
	pemFile := imports.File{Name: "server_cert.pem", Content: []byte("\ufeff" + strings.ReplaceAll(cert, "\n", "\r\n"))}
	want.Pin = cert
	for _, files := range [][]imports.File{{file, pemFile}, {pemFile, file}} {
		text, got = report(t, files...)
		if d := cmp.Diff(want, got); d != "" || !strings.Contains(text, "server.certificate_path: taken over: the server is recognized by the certificate in server_cert.pem") {
			t.Errorf("%s\n%s", text, d)
		}
	}
	file.Content = []byte("\ufeff" + oldForm)
	text, got = report(t, file)
	want = provision.Player{Show: settings.ShowProgram, Server: "https://digi.example.com", Hostname: "tv-terrace", QuickConnectCode: "8887779", Orientation: "portrait"}
	if d := cmp.Diff(want, got); d != "" || !strings.Contains(text, ":7: touch: not needed: no such setting") || !strings.Contains(text, ":8: zones.a: not needed") {
		t.Errorf("the older form: %s\n%s", text, d)
	}
}

// TestPlayerLines: what becomes of single lines.
func TestPlayerLines(t *testing.T) {
	cert := serverCertificate(t)
	for name, c := range map[string]struct {
		in, pem string
		want    provision.Player
		say     string
	}{
		"http":            {in: `{"server": {"url": "http://h:5000/"}}`, want: provision.Player{Show: "program", Server: "http://h:5000"}, say: "without TLS everybody on the way reads the code along"},
		"path":            {in: `{"server": {"url": "https://h/digi", "hostname": "x"}}`, want: provision.Player{Hostname: "x"}, say: "server.url: refused: must end after"},
		"old, other port": {in: `{"port": 5000, "server_ip": "192.168.1.5"}`, want: provision.Player{Show: "program", Server: "http://192.168.1.5:5000"}, say: "write https://"},
		"old, tls port":   {in: `{"port": 8443, "server_ip": "fd00::5"}`, want: provision.Player{Show: "program", Server: "https://[fd00::5]:8443"}, say: "taken over"},
		"old, plain":      {in: `{"port": "80", "server_ip": "h"}`, want: provision.Player{Show: "program", Server: "http://h"}, say: "without TLS"},
		"old, no port":    {in: `{"port": "", "server_ip": "h"}`, want: provision.Player{Show: "program", Server: "https://h"}, say: "as https://h"},
		"old, bad port":   {in: `{"port": "70000", "server_ip": "h"}`, want: provision.Player{Show: "program", Server: "https://h"}, say: "port: refused: is no port"},
		"old, with https": {in: `{"server_ip": "https://h:9443"}`, want: provision.Player{Show: "program", Server: "https://h:9443"}, say: "taken over"},
		"verified":        {in: `{"server": {"hostname": "x", "verify_ssl": true}}`, want: provision.Player{Hostname: "x", Trust: "first"}, say: "else the first connection's is pinned"},
		"public only":     {in: `{"server": {"hostname": "x", "verify_ssl": "True", "use_server_certificate": false, "certificate_path": "c"}}`, want: provision.Player{Hostname: "x", Trust: "public"}, say: "only certificates that public authorities"},
		"its certificate": {in: `{"server": {"hostname": "x", "verify_ssl": true, "certificate_path": "c"}}`, pem: cert, want: provision.Player{Hostname: "x", Trust: "pinned", Pin: cert}, say: "only the certificate that the file names counts"},
		"certificate away": {in: `{"server": {"hostname": "x", "verify_ssl": true, "certificate_path": "c"}}`, want: provision.Player{Hostname: "x", Trust: "first"},
			say: "the first connection's certificate is pinned, as the one that the file names is not here"},
		"certificate off": {in: `{"server": {"hostname": "x", "use_server_certificate": false, "certificate_path": "c"}}`, pem: cert, want: provision.Player{Hostname: "x"}, say: "use_server_certificate is off"},
		"not a switch":    {in: `{"server": {"hostname": "x", "verify_ssl": "maybe"}}`, want: provision.Player{Hostname: "x"}, say: "certificates are always checked here"},
		"fractions":       {in: `{"server": {"hostname": "x"}, "connection": {"timeout": 2.5, "retry_delay": "7", "retry_attempts": 0}}`, want: provision.Player{Hostname: "x", Timeout: 3, RetryDelay: 7}, say: "connection.retry_attempts: refused: use 1 to 100"},
		"upside down":     {in: `{"screen_name": "x", "orientation": "Landscape_Flipped"}`, want: provision.Player{Hostname: "x", Orientation: "landscape-flipped"}, say: "orientation: taken over"},
		"askew":           {in: `{"screen_name": "x", "orientation": "45"}`, want: provision.Player{Hostname: "x"}, say: "orientation: refused: must be"},
		"empty":           {in: `{"screen_name": " ", "server_ip": ""}`, want: provision.Player{}, say: "screen_name: refused: is empty"},
		"twice":           {in: "{\"screen_name\": \"x\",\n\"screen_name\": \"y\"}", want: provision.Player{Hostname: "x"}, say: ":2: screen_name: refused: is already on line 1"},
		"broken":          {in: "{\"screen_name\": \"x\",\n\"port\": 443,\n}", want: provision.Player{Hostname: "x"}, say: ":3: refused: from here on the file is no JSON"},
		"cut":             {in: "{\"screen_name\": \"x\",\n\"port\":", want: provision.Player{Hostname: "x"}, say: ":2: refused: from here on the file is no JSON"},
		"more behind it":  {in: `{"screen_name": "x"} {}`, want: provision.Player{Hostname: "x"}, say: "from here on the file is no JSON"},
		"something else":  {in: `{"cameras": []}`, want: provision.Player{}, say: "there are no settings of a signage player in it"},
		"a certificate":   {in: `{"screen_name": "x"}`, pem: cert, want: provision.Player{Hostname: "x"}, say: "c.pem: not needed: no player's settings name a certificate"},
		"a key": {in: `{"screen_name": "x"}`, pem: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", want: provision.Player{Hostname: "x"},
			say: "c.pem: refused: holds a private key"},
	} {
		files := []imports.File{{Name: "f", Content: []byte(c.in)}}
		if c.pem != "" {
			files = append(files, imports.File{Name: "c.pem", Content: []byte(c.pem)})
		}
		text, got := report(t, files...)
		if d := cmp.Diff(c.want, got); d != "" || !strings.Contains(text, c.say) {
			t.Errorf("%s: want %q in\n%s\n%s", name, c.say, text, d)
		}
	}
	// One device, one screen.
	text, got := report(t, imports.File{Name: "a", Content: []byte(newForm)}, imports.File{Name: "b", Content: []byte(oldForm)})
	if got.Hostname != "player1" || !strings.Contains(text, "b: refused: this device has one screen") {
		t.Errorf("two of them: %+v\n%s", got, text)
	}
}

func TestCertificatePath(t *testing.T) {
	for in, want := range map[string]string{newForm: "~/.digiserver/server_cert.pem", oldForm: "", "certificate_path: x": "", `{"server": {"certificate_path": 3}}`: "3", `{"server": {"certificate_path": ["x"]}}`: ""} {
		if got := imports.CertificatePath([]byte(in)); got != want {
			t.Errorf("%.30s: %q", in, got)
		}
	}
}
