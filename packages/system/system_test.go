package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/gokrazy-instance/hostrun/supervise"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/unixsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs system beside a real supervisor that has one process, "runs", and returns console's view of it.
func start(t *testing.T, toml string) (*unixsock.Client, daemon.Env) {
	t.Helper()
	return startIn(t, t.TempDir(), toml)
}

// startIn does so over what a former run left in dir.
func startIn(t *testing.T, dir, toml string) (*unixsock.Client, daemon.Env) {
	t.Helper()
	env := daemon.Env{
		Log: slog.New(slog.DiscardHandler), RunDir: filepath.Join(dir, "run"), PermDir: filepath.Join(dir, "perm"), BootDir: filepath.Join(dir, "boot"), SingleUser: true,
	}
	for _, d := range []string{env.RunDir, env.BootDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if toml != "" {
		if err := os.WriteFile(filepath.Join(env.BootDir, "porthole.toml"), []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "runs")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho good morning\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sup := supervise.New(supervise.Config{
		Commands: []supervise.Command{{Name: "runs", Path: program, Dir: dir, Home: filepath.Join(dir, "home")}},
		PermDir:  dir, OnLine: func(string, string, string) {}, OnExit: func(string, string) {}, RestartDelay: 20 * time.Millisecond,
	})
	control, err := unixsock.Listen(env.Socket("gokrazy-http"), unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	go func() { ended <- sup.Run(ctx) }()
	go func() { ended <- unixsock.Serve(ctx, control, sup.Handler()) }()
	go func() {
		ended <- run(ctx, env, options{gokrazySocket: env.Socket("gokrazy-http"), governor: "performance"})
	}()
	console := unixsock.NewClient(env.Socket("system"))
	t.Cleanup(func() {
		console.Close()
		cancel()
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	until(t, "system answers", func() bool {
		_, err := console.Call(t.Context(), http.MethodGet, "/certificate", nil, nil)
		return err == nil
	})
	return console, env
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

type process struct {
	Name, State string
	PID         int
	Restarts    int
}

// TestCalls makes every call of system.sock (docs/architecture.md).
func TestCalls(t *testing.T) {
	console, env := start(t, "hostname = \"shop\"\nnonsense = 1\n[admin]\npassword = \"0123456789\"\n")
	call := func(method, target string, in, out any) int {
		t.Helper()
		status, err := console.Call(t.Context(), method, target, in, out)
		var se *unixsock.StatusError
		if err != nil && !errors.As(err, &se) {
			t.Fatalf("%s %s: %v", method, target, err)
		}
		return status
	}

	var cert struct {
		CAPEM    string   `json:"ca_pem"`
		ChainPEM string   `json:"chain_pem"`
		CA       string   `json:"ca_sha256"`
		Leaf     string   `json:"leaf_sha256"`
		Names    []string `json:"names"`
	}
	call(http.MethodGet, "/certificate", nil, &cert)
	chain, err := os.ReadFile(filepath.Join(env.TLSDir("device"), "fullchain.pem"))
	if err != nil || cert.ChainPEM != string(chain) || !strings.HasSuffix(cert.ChainPEM, cert.CAPEM) || cert.CA == "" || cert.Leaf == cert.CA || cert.Names[0] != "shop" {
		t.Errorf("certificate: %+v, %v", cert, err)
	}

	var list []process
	until(t, "its process runs", func() bool {
		call(http.MethodGet, "/processes", nil, &list)
		return len(list) == 1 && list[0].Name == "runs" && list[0].State == "running"
	})
	until(t, "its words are in the log of all", func() bool {
		var log struct {
			Lines []struct {
				Seq                   int64
				Process, Stream, Text string
				Time                  time.Time
			}
		}
		call(http.MethodGet, "/log", nil, &log)
		for _, l := range log.Lines {
			if l.Process == "runs" && l.Stream == "stdout" && l.Text == "good morning" && l.Seq > 0 && !l.Time.IsZero() {
				return true
			}
		}
		return false
	})
	var hardware struct{ Governors []string }
	if status := call(http.MethodGet, "/hardware", nil, &hardware); status != http.StatusOK || hardware.Governors != nil {
		t.Errorf("the processor: %d, %+v", status, hardware)
	}
	for _, c := range []struct {
		method, target string
		in             any
		want           int
	}{
		{http.MethodPost, "/governor", map[string]string{"governor": "performance"}, http.StatusConflict}, // not ours under hostrun
		{http.MethodPost, "/governor", map[string]string{}, http.StatusBadRequest},
		{http.MethodGet, "/log?after=x", nil, http.StatusBadRequest},
		{http.MethodGet, "/log?after=-1", nil, http.StatusBadRequest},
	} {
		if status := call(c.method, c.target, c.in, nil); status != c.want {
			t.Errorf("%s %s %v: %d, want %d", c.method, c.target, c.in, status, c.want)
		}
	}
	until(t, "its words are read", func() bool {
		var log struct {
			Lines []struct{ Stream, Text string }
		}
		call(http.MethodGet, "/processes/runs/log", nil, &log)
		for _, l := range log.Lines {
			if l.Stream == "stdout" && l.Text == "good morning" {
				return true
			}
		}
		return false
	})
	before := list[0].PID
	if status := call(http.MethodPost, "/processes/runs/restart", nil, nil); status != http.StatusNoContent {
		t.Errorf("restart: %d", status)
	}
	until(t, "it was restarted", func() bool {
		call(http.MethodGet, "/processes", nil, &list)
		return list[0].State == "running" && list[0].PID != before && list[0].Restarts == 1
	})
	for _, c := range [][2]string{{http.MethodPost, "/processes/none/restart"}, {http.MethodGet, "/processes/none/log"}} {
		if status := call(c[0], c[1], nil, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", c[1], status)
		}
	}

	var p struct {
		Digest    string
		Provision struct {
			Hostname string
			Password string `json:"admin_password"`
		}
		Problems []struct {
			Line        int
			Key, Reason string
		}
	}
	var problems struct {
		Problems []struct{ Area, Text string }
	}
	if err := os.WriteFile(filepath.Join(env.RunDir, "perm-status.json"), []byte(`{"state":"repaired","problem":"The storage was damaged.","size_bytes":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	call(http.MethodGet, "/problems", nil, &problems)
	if l := problems.Problems; len(l) != 2 || l[0].Area != "storage" || l[0].Text != "The storage was damaged." ||
		l[1].Area != "porthole.toml" || !strings.HasPrefix(l[1].Text, "Line 2, nonsense: ") {
		t.Errorf("problems: %+v", l)
	}
	if status := call(http.MethodGet, "/provision", nil, &p); status != http.StatusOK || p.Provision.Hostname != "shop" || p.Provision.Password != "0123456789" || len(p.Problems) != 1 || p.Problems[0].Line != 2 {
		t.Errorf("provision: %d, %+v", status, p)
	}
	if status := call(http.MethodPost, "/provision/taken", map[string]string{"digest": "another"}, nil); status != http.StatusConflict {
		t.Errorf("another digest: %d", status)
	}
	if status := call(http.MethodPost, "/provision/taken", map[string]string{"digest": p.Digest}, nil); status != http.StatusNoContent {
		t.Errorf("taken: %d", status)
	}
	if status := call(http.MethodGet, "/provision", nil, nil); status != http.StatusNotFound {
		t.Errorf("after it was taken: %d", status)
	}
	if b, err := os.ReadFile(filepath.Join(env.BootDir, "porthole.toml")); err != nil || bytes.Contains(b, []byte("0123456789")) {
		t.Errorf("left in the file: %s, %v", b, err)
	}
}

// TestDamagedAuthority: system stays, hands out the certificate in service and says what is wrong.
func TestDamagedAuthority(t *testing.T) {
	dir := t.TempDir()
	var before, after struct {
		ChainPEM string `json:"chain_pem"`
		Problem  string `json:"problem"`
	}
	get := func(console *unixsock.Client, target string, out any) {
		t.Helper()
		if _, err := console.Call(t.Context(), http.MethodGet, target, nil, out); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("made", func(t *testing.T) {
		console, _ := startIn(t, dir, "")
		get(console, "/certificate", &before)
	})
	if err := os.WriteFile(filepath.Join(dir, "perm/system/ca/ca.pem"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	console, _ := startIn(t, dir, "")
	get(console, "/certificate", &after)
	if after.ChainPEM != before.ChainPEM || !strings.Contains(after.Problem, "backup") || before.Problem != "" {
		t.Errorf("before %q, after %q", before.Problem, after.Problem)
	}
	var problems struct {
		Problems []struct{ Area, Text string }
	}
	get(console, "/problems", &problems)
	if l := problems.Problems; len(l) != 1 || l[0].Area != "certificate" || l[0].Text != after.Problem {
		t.Errorf("problems: %+v", l)
	}
}

func TestNothingProvisioned(t *testing.T) {
	console, _ := start(t, "")
	var problems struct{ Problems []any }
	if _, err := console.Call(t.Context(), http.MethodGet, "/problems", nil, &problems); err != nil || problems.Problems == nil || len(problems.Problems) != 0 {
		t.Errorf("problems: %v, %v", problems.Problems, err)
	}
	if status, _ := console.Call(t.Context(), http.MethodGet, "/provision", nil, nil); status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
}
