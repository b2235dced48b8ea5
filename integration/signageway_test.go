package integration_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"porthole/media/samples"
)

// oldPlayer is a player as they are in the field: it knows a server's address, its name and its code.
type oldPlayer struct {
	t    *testing.T
	http *http.Client
	base string
	code string // auth_code
}

// call sends JSON and reads JSON; status and answer.
func (p *oldPlayer) call(method, path string, in any) (int, map[string]any) {
	p.t.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			p.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, &body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Kiwy-Signage-Player/1.0")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.code != "" {
		req.Header.Set("Authorization", "Bearer "+p.code)
	}
	res, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		p.t.Fatalf("%s %s: %s and no JSON: %v", method, path, res.Status, err)
	}
	return res.StatusCode, out
}

// authenticate logs the player in.
func (p *oldPlayer) authenticate(hostname, code string) (id int) {
	p.t.Helper()
	status, got := p.call("POST", "/api/auth/player", map[string]string{"hostname": hostname, "quickconnect_code": code})
	authCode, _ := got["auth_code"].(string)
	number, _ := got["player_id"].(float64)
	if status != http.StatusOK || got["success"] != true || authCode == "" || number == 0 {
		p.t.Fatalf("authenticate: %d %v", status, got)
	}
	p.code = authCode
	return int(number)
}

// play fetches the playlist and every medium in it, without a header of its own, and returns the contents.
func (p *oldPlayer) play(id int) [][]byte {
	p.t.Helper()
	status, got := p.call("GET", fmt.Sprintf("/api/playlists/%d", id), nil)
	items, _ := got["playlist"].([]any)
	if status != http.StatusOK {
		p.t.Fatalf("playlist: %d %v", status, got)
	}
	base, err := url.Parse(p.base)
	if err != nil {
		p.t.Fatal(err)
	}
	var all [][]byte
	for _, i := range items {
		item, _ := i.(map[string]any)
		at, _ := item["url"].(string)
		to, err := base.Parse(at)
		if err != nil {
			p.t.Fatal(err)
		}
		res, err := p.http.Get(to.String())
		if err != nil {
			p.t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		sum := sha256.Sum256(b)
		if err != nil || res.StatusCode != http.StatusOK || hex.EncodeToString(sum[:]) != item["sha256"] || float64(len(b)) != item["size"] {
			p.t.Fatalf("%s: %s, %d bytes, %x of %v: %v", to, res.Status, len(b), sum, item, err)
		}
		if to.Scheme != base.Scheme || to.Host != base.Host {
			p.t.Errorf("asked at %s, sent to %s", base, to)
		}
		all = append(all, b)
	}
	return all
}

// picture is a PNG of noise: nothing of it can be guessed.
func picture(t *testing.T, side int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		n := rand.Uint32()
		img.Set(i%side, i/side, color.RGBA{uint8(n), uint8(n >> 8), uint8(n >> 16), 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSignage is the way of a picture and a video from somebody's desk to the screens in the shop: an old player that
// trusts the certificate it fetched, and one that speaks no TLS at all.
func TestSignage(t *testing.T) {
	s := start(t, "")
	e := admin(t, s).Editor()
	ctx := t.Context()
	want := [][]byte{picture(t, 700), samples.Demo()}
	const list = "Shop window"
	playlist, err := e.NewPlaylist(ctx, list)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"../../etc/offer <b>.png", "clip.ts"} {
		medium, err := e.Upload(ctx, name, want[i], 300<<10)
		if err != nil {
			t.Fatalf("upload %s: %v", name, err)
		}
		if got, err := e.File(ctx, medium); err != nil || !bytes.Equal(got, want[i]) {
			t.Errorf("medium %d is not what was uploaded: %d bytes, %v", medium, len(got), err)
		}
		if err := e.AddMedium(ctx, playlist, medium); err != nil {
			t.Fatal(err)
		}
	}
	const hostname, code = "shop-window-1", "WINDOW-2345"
	screen, err := e.NewScreen(ctx, "Window", hostname, code, playlist)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("over https", func(t *testing.T) {
		p := &oldPlayer{t: t, http: trusting(t, fmt.Sprintf("http://localhost:%d", s.HTTP)), base: s.URL("")}
		if status, got := p.call("GET", "/api/health", nil); status != http.StatusOK || got["version"] != "2.0.0" {
			t.Errorf("health: %d %v", status, got)
		}
		if status, got := p.call("POST", "/api/auth/player", map[string]string{"hostname": hostname, "quickconnect_code": "WRONG-2345"}); status != http.StatusUnauthorized {
			t.Errorf("a wrong code: %d %v", status, got)
		}
		id := p.authenticate(hostname, code)
		if id != int(screen) {
			t.Errorf("player %d is screen %d", id, screen)
		}
		if got := p.play(id); len(got) != 0 {
			t.Errorf("%d media before the playlist was published", len(got))
		}
		if err := e.Publish(ctx, playlist); err != nil {
			t.Fatal(err)
		}
		got := p.play(id)
		if len(got) != 2 || !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
			t.Errorf("%d media came, or others than were uploaded", len(got))
		}
		if status, got := p.call("POST", "/api/player-feedback", map[string]string{"hostname": hostname, "quickconnect_code": code, "status": "playing",
			"message": "Playing the clip", "timestamp": "2026-11-21T12:00:00"}); status != http.StatusOK || got["success"] != true {
			t.Errorf("feedback: %d %v", status, got)
		}
		eventually(t, "the page shows what the screen says", func() error {
			page, err := e.Get(ctx, fmt.Sprintf("/screens/%d", screen))
			if err == nil && !strings.Contains(page, "Playing the clip") {
				err = fmt.Errorf("it does not: %s", page)
			}
			return err
		})
	})

	t.Run("elsewhere", func(t *testing.T) {
		p := &oldPlayer{t: t, http: trusting(t, fmt.Sprintf("http://localhost:%d", s.HTTP)), base: s.URL("")}
		p.authenticate(hostname, code)
		p.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for who, header := range map[string]string{"a player": "Bearer " + p.code, "a stranger": ""} {
			for _, path := range []string{"/metrics", "/live", "/livestream/viewer?camera=demo", "/livestream/ice.json", "/cameras/demo/snapshot.jpg", "/", "/media", "/media/1/file",
				"/screens", "/playlists/1", "/settings/proxy", "/settings/transfer", "/rtsp-log.txt"} {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if header != "" {
					req.Header.Set("Authorization", header)
				}
				res, err := p.http.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				toLogin := res.StatusCode >= 300 && res.StatusCode < 400 && strings.Contains(res.Header.Get("Location"), "/login")
				if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden && !toLogin && (res.StatusCode != http.StatusNotFound || path == "/metrics") {
					t.Errorf("%s at %s: %d %s", who, path, res.StatusCode, res.Header.Get("Location"))
				}
			}
		}
	})

	t.Run("without TLS", func(t *testing.T) {
		client := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error { return fmt.Errorf("it is sent to %s", r.URL) }}
		t.Cleanup(client.CloseIdleConnections)
		p := &oldPlayer{t: t, http: client, base: fmt.Sprintf("http://localhost:%d", s.HTTP)}
		login := map[string]string{"hostname": hostname, "quickconnect_code": code}
		status, got := p.call("POST", "/api/auth/player", login)
		at, _ := got["https_url"].(string)
		if status != http.StatusUpgradeRequired || !strings.HasPrefix(at, "https://localhost") || got["error"] == "" {
			t.Errorf("before it is let in: %d %v", status, got)
		}
		if err := e.LetInWithoutTLS(ctx, screen, "Window", hostname, playlist); err != nil {
			t.Fatal(err)
		}
		if got := p.play(p.authenticate(hostname, code)); len(got) != 2 || !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
			t.Errorf("%d media came, or others than were uploaded", len(got))
		}
		// On the port for TLS there is JSON, too.
		p.base = fmt.Sprintf("http://localhost:%d", s.HTTPS)
		if status, got := p.call("POST", "/api/auth/player", login); status != http.StatusUpgradeRequired || got["https_url"] != s.URL("/api/auth/player") {
			t.Errorf("without TLS on the TLS port: %d %v", status, got)
		}
	})
}

// trusting is a client that trusts what the certificate endpoint gives out, as players in the field do.
func trusting(t *testing.T, plain string) *http.Client {
	t.Helper()
	res, err := http.Get(plain + "/api/certificate")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct{ Certificate string }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(got.Certificate)) {
		t.Fatalf("no certificate: %s", got.Certificate)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}
