//go:build linux

package supervise_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/gokrazy-instance/hostrun/supervise"
)

// lines returns what a process has said, over the API.
func lines(r *rig, name, stream string) []string {
	r.t.Helper()
	var out []string
	for _, e := range events(r, name, stream, 0) {
		out = append(out, strings.TrimPrefix(e, "data: "))
	}
	return out
}

// events reads the event stream until it has want events, or if want is zero until it is quiet.
func events(r *rig, name, stream string, want int) []string {
	r.t.Helper()
	patience := 30 * time.Second
	if want == 0 {
		patience = 100 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/log?stream="+stream+"&path="+r.path(name), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		if want == 0 && errors.Is(err, context.DeadlineExceeded) {
			return nil // nothing said yet
		}
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		r.t.Fatalf("content type %q", ct)
	}
	var out, event []string
	for sc := bufio.NewScanner(res.Body); (want == 0 || len(out) < want) && sc.Scan(); {
		if sc.Text() != "" {
			event = append(event, sc.Text())
			continue
		}
		out = append(out, strings.Join(event, "\n"))
		event = nil
	}
	return out
}

// gokrazyFields returns the fields of the struct with the given field in gokrazy's source.
func gokrazyFields(t *testing.T, file, with string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gokrazy/gokrazy").Output()
	if err != nil {
		t.Fatalf("find gokrazy's source: %v", err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok || found != nil {
			return true
		}
		var names []string
		for _, field := range s.Fields.List {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
		if slices.Contains(names, with) {
			found = slices.Sorted(slices.Values(names))
		}
		return true
	})
	return found
}

// TestShapeIsGokrazys: the JSON has the keys that gokrazy's has, no more and no fewer.
func TestShapeIsGokrazys(t *testing.T) {
	r := start(t, nil, "forever", "exit0")
	until(t, "it runs", func() bool { return r.service("forever").Pid != 0 })
	get := func(path string) map[string]any {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var v map[string]any
		if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.Header.Get("Content-Type") != "application/json" {
			t.Fatal(res.Header, err)
		}
		return v
	}
	overview, status := get("/"), get("/status?path="+r.path("forever"))
	if d := cmp.Diff(gokrazyFields(t, "status.go", "PermDev"), slices.Sorted(maps.Keys(overview))); d != "" {
		t.Errorf("/ (-gokrazy +ours):\n%s", d)
	}
	if d := cmp.Diff(gokrazyFields(t, "supervise.go", "Diverted"), slices.Sorted(maps.Keys(status))); d != "" {
		t.Errorf("/status (-gokrazy +ours):\n%s", d)
	}
	services, _ := overview["Services"].([]any)
	if len(services) != 2 || !cmp.Equal(services[0], any(status)) {
		t.Errorf("services are %v, want first %v", services, status)
	}
	if overview["Hostname"] != "porthole" || overview["PermTotal"].(float64) <= 0 || overview["Meminfo"].(map[string]any)["MemTotal"].(float64) <= 0 {
		t.Errorf("overview is %v", overview)
	}
	for path, want := range map[string]int{"/elsewhere": 404, "/status?path=/none": 404, "/log?path=/none&stream=both": 404, "/log?stream=x&path=" + r.path("forever"): 404} {
		res, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s answers %d", path, res.StatusCode)
		}
	}
}

// control sends a form to /restart or /stop and returns the status, without following the redirect.
func (r *rig) control(path, cookie string, form url.Values) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		req.AddCookie(&http.Cookie{Name: "gokrazy_xsrf", Value: cookie})
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	want := "/status?" + url.Values{"path": {form.Get("path")}}.Encode()
	if to := res.Header.Get("Location"); res.StatusCode == http.StatusSeeOther && to != want {
		r.t.Errorf("redirected to %q", to)
	}
	return res.StatusCode
}

func TestStopAndRestart(t *testing.T) {
	r := start(t, nil, "forever")
	path := r.path("forever")
	until(t, "it runs", func() bool { return r.service("forever").Pid != 0 })
	res, err := http.Get(r.url + "/status?path=" + path)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	token := ""
	for _, c := range res.Cookies() {
		if c.Name == "gokrazy_xsrf" && c.HttpOnly {
			token = c.Value
		}
	}
	form := func(kv ...string) url.Values {
		f := url.Values{"path": {path}, "xsrftoken": {token}}
		for i := 0; i < len(kv); i += 2 {
			f.Set(kv[i], kv[i+1])
		}
		return f
	}
	for name, c := range map[string]struct {
		cookie string
		form   url.Values
		want   int
	}{
		"no cookie":     {"", form(), http.StatusBadRequest},
		"no form token": {token, form("xsrftoken", ""), http.StatusBadRequest},
		"other token":   {token, form("xsrftoken", "1"), http.StatusForbidden},
		"other service": {token, form("path", "/none"), http.StatusNotFound},
	} {
		if got := r.control("/restart", c.cookie, c.form); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if res, err := http.Get(r.url + "/restart?path=" + path); err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("GET: %v, %v", res, err)
	} else {
		res.Body.Close()
	}

	first := r.service("forever")
	if got := r.control("/restart", token, form()); got != http.StatusSeeOther {
		t.Fatalf("restart: %d", got)
	}
	until(t, "it was restarted", func() bool { s := r.service("forever"); return s.Pid != first.Pid && s.Pid != 0 && alive(s.Pid) })
	if alive(first.Pid) || !r.said("forever", "gokrazy: signal: terminated") {
		t.Errorf("the former process: alive %v, log %q", alive(first.Pid), r.sup.Tail("forever", 5))
	}

	second := r.service("forever")
	if got := r.control("/stop", token, form("signal", "kill")); got != http.StatusSeeOther {
		t.Fatalf("stop: %d", got)
	}
	until(t, "it has stopped", func() bool { return r.said("forever", "gokrazy: signal: killed") && !alive(second.Pid) })
	if s := r.service("forever"); !s.Stopped || s.Pid != second.Pid {
		t.Errorf("after stop: %+v", s)
	}

	if got := r.control("/restart", token, form("supervise", "once")); got != http.StatusSeeOther {
		t.Fatalf("start: %d", got)
	}
	until(t, "it runs again", func() bool { s := r.service("forever"); return s.Pid != second.Pid && alive(s.Pid) })
	if r.service("forever").Stopped {
		t.Error("it runs and is called stopped")
	}
	if err := exec.CommandContext(t.Context(), "kill", "-9", fmt.Sprint(r.service("forever").Pid)).Run(); err != nil {
		t.Fatal(err)
	}
	until(t, "it stays down after that once", func() bool { return r.service("forever").Stopped })
}

// TestReboot: all processes end, then what is to happen in between, then they run again, those too that were stopped.
func TestReboot(t *testing.T) {
	between := make(chan []bool, 1)
	var pids []int
	r := start(t, func(c *supervise.Config) {
		c.StopDelay = 200 * time.Millisecond
		c.OnReboot = func() {
			var up []bool
			for _, pid := range pids {
				up = append(up, alive(pid))
			}
			between <- up
		}
	}, "forever", "stubborn", "exit0")
	until(t, "all have begun", func() bool {
		return len(lines(r, "forever", "stdout")) > 0 && len(lines(r, "stubborn", "stdout")) > 0 && r.service("exit0").Stopped
	})
	for _, name := range []string{"forever", "stubborn"} {
		pids = append(pids, r.service(name).Pid)
	}
	if res, err := http.Get(r.url + "/reboot"); err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("GET: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
	attempts := func() (n int) {
		for _, line := range r.sup.Tail("exit0", 100) {
			if strings.Contains(line, "gokrazy: attempt 0") {
				n++
			}
		}
		return n
	}
	res, err := http.Post(r.url+"/reboot", "", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("POST: %v, %v", res, err)
	}
	res.Body.Close()
	if up := <-between; slices.Contains(up, true) {
		t.Errorf("still alive in between: %v", up)
	}
	until(t, "they run again", func() bool {
		f, s := r.service("forever"), r.service("stubborn")
		return f.Pid != pids[0] && alive(f.Pid) && s.Pid != pids[1] && alive(s.Pid) && attempts() == 2
	})
	select {
	case <-between:
		t.Error("rebooted twice")
	default:
	}
}

// TestLog: the last hundred lines of each stream are kept, and new ones follow.
func TestLog(t *testing.T) {
	r := start(t, nil, "talker", "exit1")
	until(t, "it has spoken", func() bool { return r.said("talker", "err 149") })
	// Each stream is read on its own: the other may lag behind.
	var got []string
	until(t, "both streams are there", func() bool {
		got = events(r, "talker", "both", 200)
		return slices.ContainsFunc(got, func(e string) bool { return strings.HasSuffix(e, "out 149") })
	})
	var out, errs []string
	for _, e := range got {
		if rest, ok := strings.CutPrefix(e, "event: stdout\ndata: "); ok {
			out = append(out, rest)
		} else if rest, ok := strings.CutPrefix(e, "event: stderr\ndata: "); ok {
			errs = append(errs, rest)
		} else {
			t.Fatalf("event %q", e)
		}
	}
	for stream, lines := range map[string][]string{"out": out, "err": errs} {
		if len(lines) != 100 || lines[0] != stream+" 50" || lines[99] != stream+" 149" {
			t.Errorf("%s: %d lines, %q", stream, len(lines), lines)
		}
	}
	// More lines than there are can only come as they are written.
	want := len(lines(r, "exit1", "stdout")) + 5
	if n := len(events(r, "exit1", "stdout", want)); n != want {
		t.Errorf("the stream ended after %d lines, want %d", n, want)
	}
	if plain, err := http.Get(r.url + "/log?stream=stdout&path=" + r.path("talker")); err != nil {
		t.Error(err)
	} else {
		defer plain.Body.Close()
		b := make([]byte, len("out 50\nout 51\n"))
		if _, err := io.ReadFull(plain.Body, b); err != nil || !bytes.Equal(b, []byte("out 50\nout 51\n")) {
			t.Errorf("plain log begins %q, %v", b, err)
		}
	}
}
