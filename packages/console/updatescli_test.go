package main_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/update"
)

// tool is the command-line tool, as somebody has it on a computer.
type tool struct {
	t    *testing.T
	file string
	env  []string
	ca   string
	to   string
}

// newTool builds it and makes a token for it.
func (u *updating) newTool() *tool {
	u.t.Helper()
	dir := u.t.TempDir()
	c := &tool{t: u.t, file: filepath.Join(dir, "porthole"), ca: filepath.Join(dir, "ca.pem")}
	build := exec.CommandContext(u.t.Context(), "go", "build", "-o", c.file, "porthole/packages/porthole")
	if out, err := build.CombinedOutput(); err != nil {
		u.t.Fatalf("build the tool: %v\n%s", err, out)
	}
	door := u.door()
	at, err := url.Parse(door.URL)
	if err != nil {
		u.t.Fatal(err)
	}
	c.to = at.Host
	if err := os.WriteFile(c.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: door.Certificate().Raw}), 0o600); err != nil {
		u.t.Fatal(err)
	}
	if a := u.admin.post("/account/tokens", "name", "updater", "days", "30", "see", "all", "scope", "update"); a.status != http.StatusSeeOther {
		u.t.Fatalf("make a token: %d\n%s", a.status, a.body)
	}
	token := regexp.MustCompile(`porthole_[a-z2-7]{26}`).FindString(u.admin.get("/account").body)
	c.env = []string{"PORTHOLE_TOKEN=" + token, "HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	return c
}

// run runs it and returns its exit code and what it says.
func (c *tool) run(args ...string) (code int, says string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.file, append([]string{"update", "-to", c.to, "-ca", c.ca}, args...)...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("run the tool: %v", err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestUpdateByCommand updates a device by the command-line tool, through its restart, and has it go wrong.
func TestUpdateByCommand(t *testing.T) {
	u := newUpdating(t)
	c := u.newTool()
	check := func(what string, wantCode int, args []string, want ...string) {
		t.Helper()
		code, says := c.run(args...)
		if code != wantCode {
			t.Errorf("%s ends with %d:\n%s", what, code, says)
		}
		for _, w := range want {
			if !strings.Contains(says, w) {
				t.Errorf("%s does not say %q:\n%s", what, w, says)
			}
		}
		if strings.Contains(says, "porthole_") {
			t.Errorf("%s says the token", what)
		}
	}
	check("status", 0, []string{"-status"}, "version: v1.4.0", "board: pi", "security updates until: "+update.SupportEnds)
	check("no restart", 0, []string{"-no-restart", u.next("v1.5.0").file(t)}, "boot: the device has it already", "v1.5.0 is ready beside v1.4.0")
	check("another one meanwhile", 1, []string{u.next("v1.5.1").file(t)}, "is on its way")
	check("the same again", 0, []string{u.next("v1.5.0").file(t)}, "v1.5.0 is kept")
	check("older", 1, []string{u.v1.file(t)}, "v1.4.0 is older than v1.5.0", "-downgrade")
	u.card.spoil("v1.6.0")
	u.card.setDeadline(4)
	check("rolled back", 1, []string{u.next("v1.6.0").file(t)}, "v1.6.0 was rolled back, v1.5.0 runs again", "The screen has shown no picture")
	u.card.setDeadline(60)
	check("from an address", 0, []string{serveUpdate(t, &shelf{content: u.next("v1.7.0").Bundle, ranges: true})}, "fetches the update from 127.0.0.1", "v1.7.0 is kept")
	check("from nowhere", 1, []string{serveUpdate(t, http.NotFoundHandler())}, "no file at that address")
	check("status", 0, []string{"-status"}, "version: v1.7.0", "former version: v1.5.0", "v1.5.0 to v1.6.0: rolled-back: ")
	c.env[0] = "PORTHOLE_TOKEN=porthole_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	check("a wrong token", 1, []string{"-status"}, "does not know this token")
}
