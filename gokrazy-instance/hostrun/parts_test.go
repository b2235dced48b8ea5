//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDeviceProcessList: the list that hostrun and the image share is one that gokrazy understands, and every package in
// it is ours and gets what this machine needs.
func TestDeviceProcessList(t *testing.T) {
	file, err := filepath.Abs("../pi/config.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(b, &top); err != nil {
		t.Fatal(err)
	}
	known := gokrazyFields(t, "KernelPackage")
	for key := range top {
		if !slices.Contains(known, key) {
			t.Errorf("gokrazy knows no %q in config.json (it would ignore it)", key)
		}
	}
	if update, _ := top["Update"].(map[string]any); update["NoPassword"] != true {
		t.Error("the image would hold a password")
	}

	bin := t.TempDir()
	for _, name := range []string{"system", "proxy", "signaling", "console", "player"} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := options{Config: file, Bin: bin, State: "/s", Bind: "", HTTPS: 8443, HTTP: 0, WSS: 8765, ICE: 8444, Test: 5001}
	commands, hostname, err := plan(o, "rtsp://demo:pw@127.0.0.1:1/demo")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range commands {
		got[c.Name] = strings.TrimPrefix(strings.Join(c.Args, " "), "-run run -perm perm -boot boot -single-user ")
	}
	want := map[string]string{
		"system":    "-gokrazy-socket run/gokrazy-http.sock",
		"proxy":     "-https :8443 -http  -ice-tcp  -test :5001 -test-udp :5004",
		"signaling": "-wss :8765 -ice-udp :8444 -shared :8443 -loopback " + strings.Join(decoderArgs(bin), " "),
		"console":   "-builtin-camera demo=rtsp://demo:pw@127.0.0.1:1/demo " + strings.Join(decoderArgs(bin), " "),
		"player":    "-display offscreen -console-port 8443 " + strings.Join(decoderArgs(bin), " "),
	}
	if d := cmp.Diff(want, got); d != "" || hostname != "porthole" || commands[0].Name != "system" {
		t.Errorf("hostname %s\n%s", hostname, d)
	}
}

// gokrazyFields returns the fields of the configuration struct that has the given one.
func gokrazyFields(t *testing.T, with string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", "github.com/gokrazy/internal").Output()
	if err != nil {
		t.Fatalf("find the version of gokrazy's source: %v", err)
	}
	// No package of ours imports it (nor may), so it is fetched outside of our module.
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", strings.TrimSpace(string(out)))
	download.Dir = t.TempDir()
	if out, err = download.Output(); err != nil {
		t.Fatalf("fetch gokrazy's source: %v\n%s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(module.Dir, "config", "config.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		var names []string
		for _, field := range s.Fields.List {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
		if slices.Contains(names, with) {
			found = names
		}
		return true
	})
	return found
}

// TestPlanOrder: what the device's list says comes first, so that this machine's arguments win.
func TestPlanOrder(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(`{"Hostname":"h","Packages":["porthole/packages/proxy","example.com/other"],"PackageConfig":{
		"porthole/packages/proxy":{"CommandLineFlags":["-https",":443"],"Environment":["A=b"]},
		"example.com/other":{"Basename":"renamed","CommandLineFlags":["-x"],"DontStart":true}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proxy", "renamed"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	commands, _, err := plan(options{Config: config, Bin: dir, HTTPS: 1, Bind: "::1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(commands[0].Args, " "); got != "-https :443 -run run -perm perm -boot boot -single-user -https [::1]:1 -http  -ice-tcp  -test  -test-udp " {
		t.Errorf("proxy: %s", got)
	}
	if c := commands[1]; c.Name != "renamed" || !c.DontStart || !cmp.Equal(c.Args, []string{"-x"}) || !cmp.Equal(commands[0].Env, []string{"A=b"}) {
		t.Errorf("other: %+v", c)
	}
}

func TestLogRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := openLog(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 28 {
		if err := l.line(fmt.Sprintf("line %02d..", i)); err != nil {
			t.Fatal(err)
		}
	}
	l.close()
	if l, err = openLog(path, 100); err != nil { // the next run adds to it
		t.Fatal(err)
	}
	if err := l.line("last"); err != nil {
		t.Fatal(err)
	}
	l.close()
	now, err := os.ReadFile(path)
	former, formerErr := os.ReadFile(path + ".1")
	if err != nil || formerErr != nil || len(now) > 100 || len(former) > 100 || !bytes.HasSuffix(now, []byte("line 27..\nlast\n")) || !bytes.HasSuffix(former, []byte("line 19..\n")) {
		t.Errorf("now %q, former %q, %v, %v", now, former, err, formerErr)
	}
}

// TestLogWithoutDisk: a log that cannot be written is told of once and disturbs nobody.
func TestLogWithoutDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &logFile{path: "/dev/full", max: 1 << 20, f: full}
	defer l.close()
	if err := l.line("a"); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("first: %v", err)
	}
	if err := l.line("b"); err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestTerminalWithoutColour(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	term := newTerminal(w, []string{"console", "x"})
	term.line("x", "hello")
	fmt.Fprint(term.speaker("console"), "one\ntwo\n")
	w.Close()
	var b bytes.Buffer
	b.ReadFrom(r)
	if want := "x       | hello\nconsole | one\nconsole | two\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestDeaths(t *testing.T) {
	d := newDeaths()
	at := time.Unix(0, 0)
	for i := range 20 {
		if d.ended("slow", at.Add(time.Duration(i)*6*time.Second)) {
			t.Error("a death every six seconds is called dying")
		}
	}
	var told []int
	for i := range 20 {
		if d.ended("fast", at.Add(time.Duration(i)*2*time.Second)) {
			told = append(told, i+1)
		}
	}
	if !cmp.Equal(told, []int{5}) {
		t.Errorf("told at deaths %v", told)
	}
}

// TestReady: only when system, console and proxy all answer, in the device's own TLS, and console has stored the
// password from porthole.toml, it is said that Porthole runs.
func TestReady(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"run/system", "run/console", "perm/tls/device"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var stored, consoleAsked atomic.Bool
	answer := func(network, addr string, tlsConfig *tls.Config, h http.HandlerFunc) net.Listener {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		if tlsConfig != nil {
			l = tls.NewListener(l, tlsConfig)
		}
		done := make(chan struct{})
		go func() { defer close(done); srv.Serve(l) }()
		t.Cleanup(func() { srv.Close(); <-done })
		return l
	}
	answer("unix", "run/system/system.sock", nil, func(w http.ResponseWriter, r *http.Request) {
		if stored.Load() {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `{"digest":"d","provision":{"admin_password":"0123456789"},"problems":[]}`)
	})
	answer("unix", "run/console/console-internal.sock", nil, func(w http.ResponseWriter, _ *http.Request) {
		consoleAsked.Store(true)
		fmt.Fprintf(w, `{"claimed":%v,"code":"%s"}`, stored.Load(), map[bool]string{false: "ABCD-2345"}[stored.Load()])
	})
	pair := selfSigned(t)
	front := answer("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/health" {
			t.Errorf("asked for %s", r.URL.Path)
		}
	})
	port := front.Addr().(*net.TCPAddr).Port
	o := options{State: "/s", Bind: "127.0.0.1", HTTPS: port, WSS: 8765, ICE: port, Provision: "/x/house.toml"}

	w := waiter{o: o, slow: func(error) {}}
	if _, err := w.try(t.Context()); err == nil || !strings.Contains(err.Error(), "password from porthole.toml") {
		t.Errorf("before the password is stored: %v", err)
	}
	w.impatient = true
	if c, err := w.try(t.Context()); err != nil || c.Claimed || c.Code != "ABCD-2345" {
		t.Errorf("when nobody waits any more: %+v, %v", c, err)
	}
	w.impatient = false
	got := make(chan readyInfo, 1)
	consoleAsked.Store(false)
	go func() {
		r, err := w.await(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	until(t, "it is asked", consoleAsked.Load)
	stored.Store(true)
	r := <-got
	want := readyInfo{
		PID: os.Getpid(), HTTPS: port, WSS: 8765, ICE: port, Claimed: true,
		Console: fmt.Sprintf("https://localhost:%d/", port), Viewer: fmt.Sprintf("https://localhost:%d/livestream/viewer?camera=demo", port),
		Signaling: "wss://localhost:8765/", State: "/s", Logs: "/s/log", Control: "/s/run/gokrazy-http.sock",
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	if err := writeReadyFile("ready.json", r); err != nil {
		t.Fatal(err)
	}
	var read readyInfo
	if b, err := os.ReadFile("ready.json"); err != nil || json.Unmarshal(b, &read) != nil || read != want {
		t.Errorf("ready file: %s, %v", b, err)
	}
	var b bytes.Buffer
	banner(&b, o, r)
	for _, text := range []string{want.Console, want.Viewer, want.Signaling, want.Logs, `"admin" with the password from house.toml`, "Ctrl-C"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("the banner has no %q:\n%s", text, &b)
		}
	}
	b.Reset()
	r.Claimed, r.ClaimCode = false, "ABCD-2345"
	banner(&b, o, r)
	if !strings.Contains(b.String(), "claim code   ABCD-2345") {
		t.Errorf("the banner has no claim code:\n%s", &b)
	}

	if err := os.Remove("perm/tls/device/fullchain.pem"); err != nil {
		t.Fatal(err)
	}
	selfSigned(t) // another certificate than the one that is served
	if _, err := w.try(t.Context()); err == nil || !strings.Contains(err.Error(), "proxy") {
		t.Errorf("with a certificate that is not the device's: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.await(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}

// selfSigned makes a certificate and puts it where system would.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("perm/tls/device/fullchain.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
