package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"porthole/packages/signaling/sitetest"
)

// firefox is a headless Firefox, driven by WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/).
type firefox struct {
	t    *testing.T
	conn *websocket.Conn
	page string
	next int
}

// openFirefox starts a Firefox that is logged in at the site.
func openFirefox(t *testing.T, site *sitetest.Site) player {
	t.Helper()
	path, err := exec.LookPath("firefox-esr")
	if err != nil {
		t.Fatal("this test needs Firefox: apt-get install firefox-esr")
	}
	home := t.TempDir()
	prefs := map[string]string{
		// Everything here is on one machine, whose addresses Firefox offers neither plainly nor at all.
		"media.peerconnection.ice.loopback":                 "true",
		"media.peerconnection.ice.obfuscate_host_addresses": "false",
		"media.autoplay.default":                            "0",
		"media.autoplay.blocking_policy":                    "0",
		"datareporting.policy.dataSubmissionEnabled":        "false",
		"app.update.enabled":                                "false",
		"browser.shell.checkDefaultBrowser":                 "false",
	}
	var text strings.Builder
	for k, v := range prefs {
		fmt.Fprintf(&text, "user_pref(%q, %s);\n", k, v)
	}
	if err := os.WriteFile(filepath.Join(home, "user.js"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", home, "--remote-debugging-port", "0")
	cmd.Env = append(os.Environ(), "HOME="+home, "MOZ_DISABLE_CONTENT_SANDBOX=1", "MOZ_CRASHREPORTER_DISABLE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	errlog, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(errlog); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), "WebDriver BiDi listening on "); ok {
				address <- url
			}
		}
	})
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		reading.Wait()
		cmd.Wait()
	})
	f := &firefox{t: t}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	select {
	case url := <-address:
		if f.conn, _, err = websocket.Dial(ctx, url+"/session", nil); err != nil {
			t.Fatalf("talk to Firefox: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("Firefox does not start")
	}
	f.conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { f.conn.CloseNow() })
	f.call("session.new", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}, nil)
	var made struct{ Context string }
	f.call("browsingContext.create", map[string]any{"type": "tab"}, &made)
	f.page = made.Context
	f.call("browsingContext.navigate", map[string]any{
		"context": f.page, "url": site.Front.URL + "/enter?token=" + sitetest.AdminToken, "wait": "complete",
	}, nil)
	return player{t, f.eval}
}

// call sends a command and waits for its result.
func (f *firefox) call(method string, params, result any) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), deadline)
	defer cancel()
	f.next++
	b, err := json.Marshal(map[string]any{"id": f.next, "method": method, "params": params})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.conn.Write(ctx, websocket.MessageText, b); err != nil {
		f.t.Fatalf("Firefox: %s: %v", method, err)
	}
	for {
		_, b, err := f.conn.Read(ctx)
		if err != nil {
			f.t.Fatalf("Firefox: %s: %v", method, err)
		}
		var answer struct {
			ID             int
			Error, Message string
			Result         json.RawMessage
		}
		if err := json.Unmarshal(b, &answer); err != nil {
			f.t.Fatalf("Firefox: %s: %v", b, err)
		}
		if answer.ID != f.next {
			continue // an event
		}
		if answer.Error != "" {
			f.t.Fatalf("Firefox: %s: %s: %s", method, answer.Error, answer.Message)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				f.t.Fatalf("Firefox: %s: %v", b, err)
			}
		}
		return
	}
}

// eval returns the string that the script's promise resolves to.
func (f *firefox) eval(js string) string {
	f.t.Helper()
	var got struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	f.call("script.evaluate", map[string]any{
		"expression": js, "target": map[string]any{"context": f.page}, "awaitPromise": true, "userActivation": true,
	}, &got)
	if got.Type != "success" {
		f.t.Fatalf("Firefox: %s", got.ExceptionDetails.Text)
	}
	return got.Result.Value
}

// TestFirefox: Debian's Firefox knows no H.264 in WebRTC. The demo camera's picture, converted, moves, and its sound is heard.
func TestFirefox(t *testing.T) {
	site := sitetest.New(t, nil)
	f := openFirefox(t, site)
	began := time.Now()
	f.watch()
	f.moves("the picture moves", 10)
	t.Logf("ten pictures after %v", time.Since(began).Round(time.Millisecond))
	f.hears()
	first := f.received()
	r := f.moves("it goes on", 50)
	if !strings.HasPrefix(r.Video, "video/VP8") || r.Audio != "audio/opus" || r.Width != 1280 || r.Height != 720 {
		t.Errorf("Firefox gets %+v", r)
	}
	t.Logf("%.1f pictures/s, clock %.2f, %d requests for key frames", float64(r.Frames-first.Frames)/(r.Time-first.Time),
		(r.Clock-first.Clock)/(r.Time-first.Time), r.PLIs)
}
