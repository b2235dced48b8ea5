package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/integration/stack"
)

// socketOf talks to one of the stack's unix sockets.
func socketOf(t *testing.T, s *stack.Stack, path string) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.State, path))
	}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// newCode waits for the claim code of a device that belongs to nobody.
func newCode(t *testing.T, s *stack.Stack) (code string) {
	t.Helper()
	c := socketOf(t, s, "run/console/console-internal.sock")
	eventually(t, "the device can be claimed", func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://console/claim", nil)
		if err != nil {
			return err
		}
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var claim struct {
			Claimed bool
			Code    string
		}
		if err := json.NewDecoder(res.Body).Decode(&claim); err != nil {
			return err
		}
		if code = claim.Code; claim.Claimed || code == "" {
			return fmt.Errorf("claimed: %v, code %q", claim.Claimed, code)
		}
		return nil
	})
	return code
}

// claim makes the device somebody's.
func claim(t *testing.T, s *stack.Stack, code string) *stack.User {
	t.Helper()
	var u *stack.User
	eventually(t, "claim the device", func() (err error) {
		if u, err = s.NewUser(t.Context()); err != nil {
			return err
		}
		status, page, err := u.Post(t.Context(), "/claim", url.Values{"code": {code}, "password": {password}, "confirm": {password}})
		if err == nil && (status != http.StatusOK || !strings.Contains(page, "/logout")) {
			err = fmt.Errorf("%d\n%s", status, page)
		}
		if err != nil {
			u.Close()
		}
		return err
	})
	t.Cleanup(u.Close)
	return u
}

// TestFactoryReset: what the device has stored is gone, what porthole.toml still says counts again, and the next owner begins
// as with a new one: first from the console, then by a file on the card.
func TestFactoryReset(t *testing.T) {
	s := start(t, "\n[[camera]]\nid = \"yard\"\nname = \"Back yard\"\nurl = \"rtsp://127.0.0.1:9/s\"\nuser = \"cam\"\npassword = \"camera secret\"\n")
	u := admin(t, s)
	eventually(t, "porthole.toml is taken over", func() error {
		b, err := os.ReadFile(filepath.Join(s.State, "boot/porthole.toml"))
		if err == nil && strings.Contains(string(b), password) {
			err = errors.New("its secrets are still there")
		}
		return err
	})
	old := traces(t, s)
	list, err := u.Editor().NewPlaylist(t.Context(), "Playlist of the former owner")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.State, "perm/console/media/left over"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, page, err := u.Post(t.Context(), "/settings/reset", url.Values{"word": {"reset"}, "password": {password}})
	if err != nil || status != http.StatusAccepted || !strings.Contains(page, "The device is being reset") {
		t.Fatalf("%d, %v\n%s", status, err, page)
	}
	code := newCode(t, s)
	if code == s.ClaimCode {
		t.Errorf("the claim code is still %s", code)
	}
	v := claim(t, s, code)
	old.gone(t, s)
	if _, err := os.Stat(filepath.Join(s.State, "perm/console/media/left over")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file of the former owner: %v", err)
	}
	// The session of the former owner is worth nothing, nor is it known what it was good for.
	w, err := s.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.SetCookies(u.Cookies())
	if _, page, err := w.Get(t.Context(), "/"); err != nil || strings.Contains(page, "/logout") {
		t.Errorf("the former owner's session: %v\n%s", err, page)
	}
	if status, page, err := v.Get(t.Context(), fmt.Sprintf("/playlists/%d", list)); err != nil || strings.Contains(page, "former owner") {
		t.Errorf("a playlist of the former owner: %d, %v", status, err)
	}
	eventually(t, "what the file on the card says counts again", func() error {
		_, page, err := v.Get(t.Context(), "/settings/cameras/yard")
		if err == nil && (!strings.Contains(page, "Back yard") || strings.Contains(page, "camera secret")) {
			err = fmt.Errorf("the camera is not there, or knows its password:\n%s", page)
		}
		return err
	})

	old = traces(t, s)
	if err := os.WriteFile(filepath.Join(s.State, "boot/Factory-Reset.TXT"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	res, err := socketOf(t, s, "run/gokrazy-http.sock").Post("http://gokrazy/reboot", "", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("restart: %v, %v", res, err)
	}
	res.Body.Close()
	claim(t, s, newCode(t, s))
	old.gone(t, s)
	if _, err := os.Stat(filepath.Join(s.State, "boot/Factory-Reset.TXT")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file would reset the device again: %v", err)
	}
	if n := strings.Count(s.Output(), "factory reset: the storage was emptied"); n != 2 {
		t.Errorf("reset %d times", n)
	}
}

// secrets are what a device keeps to itself, by file.
type secrets map[string]string

func traces(t *testing.T, s *stack.Stack) secrets {
	t.Helper()
	list := secrets{}
	for _, name := range []string{"system/ca/ca.pem", "tls/device/privkey.pem"} {
		b, err := os.ReadFile(filepath.Join(s.State, "perm", name))
		if err != nil {
			t.Fatal(err)
		}
		list[name] = string(b)
	}
	return list
}

// gone: new ones have come in their place.
func (s secrets) gone(t *testing.T, now *stack.Stack) {
	t.Helper()
	for name, content := range traces(t, now) {
		if content == s[name] {
			t.Errorf("%s is the former owner's", name)
		}
	}
}
