package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"porthole/integration/stack"
)

// TestFirstMinutes is what a new owner does: read the claim code, claim, add a camera, log out and in.
func TestFirstMinutes(t *testing.T) {
	config, err := filepath.Abs("../gokrazy-instance/pi/config.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Bin: bins, Config: config, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if s.ClaimCode == "" || !strings.Contains(s.Output(), s.ClaimCode) {
		t.Fatalf("no claim code was printed:\n%s", s.Output())
	}
	u, err := s.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()

	if _, page, err := u.Get(t.Context(), "/"); err != nil || !strings.Contains(page, `name="code"`) {
		t.Fatalf("an unclaimed device does not ask for the code: %v\n%s", err, page)
	}
	claim := func(code string) (int, string, error) {
		return u.Post(t.Context(), "/claim", url.Values{"code": {code}, "password": {password}, "confirm": {password}})
	}
	if status, page, err := claim("AAAA-2222"); err != nil || status < 400 || strings.Contains(page, "/logout") {
		t.Errorf("a wrong code: %d, %v", status, err)
	}
	if status, page, err := claim(s.ClaimCode); err != nil || status != http.StatusOK || !strings.Contains(page, "Demo camera") {
		t.Fatalf("the right code: %d, %v\n%s", status, err, page)
	}
	status, page, err := u.Post(t.Context(), "/settings/cameras/new", url.Values{"id": {"yard"}, "name": {"Back yard"}, "url": {"http://10.0.0.9/"}})
	if err != nil || status < 400 || !strings.Contains(page, "rtsp://") {
		t.Errorf("a camera with a web address: %d, %v", status, err)
	}
	status, page, err = u.Post(t.Context(), "/settings/cameras/new", url.Values{"id": {"yard"}, "name": {"Back yard"}, "url": {"rtsp://u:secret@127.0.0.1:9/s"}})
	if err != nil || status != http.StatusOK || !strings.Contains(page, "Back yard") || strings.Contains(page, "secret") {
		t.Errorf("add a camera: %d, %v\n%s", status, err, page)
	}
	if _, _, err := u.Post(t.Context(), "/logout", nil); err != nil {
		t.Error(err)
	}
	if _, page, err := u.Get(t.Context(), "/"); err != nil || strings.Contains(page, "Back yard") {
		t.Errorf("logged out and still inside: %v", err)
	}
	if status, _, err := u.Get(t.Context(), "/livestream/viewer?camera=demo"); err != nil || status != http.StatusOK {
		t.Errorf("the viewer does not lead to the login: %d, %v", status, err)
	}
	if _, page, err := u.Post(t.Context(), "/login", url.Values{"user": {"admin"}, "password": {password}}); err != nil || !strings.Contains(page, "Back yard") {
		t.Errorf("log in again: %v", err)
	}
	if strings.Contains(s.Output(), "secret") {
		t.Error("a camera's password is in a log")
	}
}

func TestHealth(t *testing.T) {
	s := start(t, "")
	u, err := s.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	var health struct {
		Status    string
		Version   string
		Processes map[string]string
	}
	eventually(t, "all processes running", func() error {
		status, body, err := u.Get(t.Context(), "/api/health")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("health: %d, %w", status, err)
		}
		if err := json.Unmarshal([]byte(body), &health); err != nil {
			return err
		}
		if health.Status != "ok" || len(health.Processes) < 4 {
			return errors.New(body)
		}
		return nil
	})
	if health.Version != "2.0.0" {
		t.Errorf("version %q, players in the field expect 2.0.0", health.Version)
	}
	// On the plain port health answers too, everything else leads to HTTPS.
	plain := fmt.Sprintf("http://localhost:%d", s.HTTP)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/api/health": 200, "/api/certificate": 200, "/": 301, "/livestream/viewer?camera=demo": 301} {
		res, err := client.Get(plain + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		redirect := res.StatusCode >= 301 && res.StatusCode <= 308 && res.Header.Get("Location") == s.URL(path)
		if res.StatusCode != want && (want != 301 || !redirect) {
			t.Errorf("%s on the plain port: %d to %q", path, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

// TestProvisioningFile: what is wrong is named with its line, what is right is there.
func TestProvisioningFile(t *testing.T) {
	s := start(t, `hostnam = "typo"
[[camera]]
id = "yard"
name = "Back yard"
url = "rtsp://127.0.0.1:9/s"

[[camera]]
id = "bad"
url = "ftp://127.0.0.1/"
`)
	u := admin(t, s)
	eventually(t, "the good camera appears", func() error {
		_, page, err := u.Get(t.Context(), "/")
		if err != nil {
			return err
		}
		if !strings.Contains(page, "Back yard") {
			return errors.New("no camera yet")
		}
		for _, want := range []string{"line 3", "hostnam", "line 11", "rtsp://"} {
			if !strings.Contains(strings.ToLower(page), want) {
				return fmt.Errorf("the page does not say %q:\n%s", want, page)
			}
		}
		return nil
	})
}
