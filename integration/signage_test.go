package integration_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"porthole/integration/stack"
)

// shop is a stack whose owner has set up a playlist of two pictures and screens as the pages of the players in the field
// name them.
type shop struct {
	*stack.Stack
	owner *stack.User
}

// screens are the hostnames and quick-connect codes.
var screens = map[string]string{"kiosk": "ABC123XYZ", "player1": "abc123", "test-player": "test123", "test": "test123", "till": "oldcode"}

func newShop(t *testing.T) shop {
	t.Helper()
	s := start(t, "")
	u := admin(t, s)
	t.Cleanup(func() {
		// Nothing that a player sends or is given in confidence stands in any log.
		out := s.Output()
		for _, secret := range []string{"ABC123XYZ", "abc123", "test123", "wrong-one", "oldcode", "quickconnect_code=", "Bearer ", "/api/media/"} {
			if i := strings.Index(out, secret); i >= 0 {
				t.Errorf("%q is in a log: …%s…", secret, out[max(0, i-200):min(len(out), i+200)])
			}
		}
	})
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for n, name := range []string{"menu.jpg", "offers of the day.jpg"} {
		f, err := w.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		if err := jpeg.Encode(f, plain(uint8(80*n)), nil); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	c := shop{s, u}
	c.send(t, "/media/upload", w.FormDataContentType(), form.Bytes())
	list := url.Values{"kind": {"media"}}
	for _, m := range all(`/media/(\d+)/thumb\.jpg`, c.see(t, "/media")) {
		list.Add("media", m)
	}
	if len(list["media"]) != 2 {
		t.Fatalf("media %v", list)
	}
	page := c.post(t, "/playlists", url.Values{"name": {"Menu"}})
	id := all(`/playlists/(\d+)/publish`, page)[0]
	page = c.post(t, "/playlists/"+id+"/items", list)
	rev := regexp.MustCompile(`/publish"[^>]*><input type="hidden" name="rev" value="([^"]*)"`).FindStringSubmatch(page)
	if rev == nil {
		t.Fatalf("no publish button:\n%s", page)
	}
	c.post(t, "/playlists/"+id+"/publish", url.Values{"rev": {rev[1]}})
	for name, code := range screens {
		form := url.Values{
			"name": {"Screen " + name}, "hostname": {name}, "code": {code}, "playlist": {id}, "group": {"0"}, "orientation": {"landscape"}, "may_edit": {"1"},
		}
		if name == "till" {
			form.Set("plain_http", "1")
		}
		c.post(t, "/screens/new", form)
	}
	return c
}

// plain is a picture of one colour.
func plain(y uint8) image.Image {
	m := image.NewGray(image.Rect(0, 0, 320, 180))
	for i := range m.Pix {
		m.Pix[i] = color.Gray{Y: y}.Y
	}
	return m
}

// all returns what the group of a pattern matches, each text once.
func all(pattern, page string) (found []string) {
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(page, -1) {
		if !seen[m[1]] {
			found = append(found, m[1])
		}
		seen[m[1]] = true
	}
	return found
}

func (c shop) see(t *testing.T, path string) string {
	t.Helper()
	status, page, err := c.owner.Get(t.Context(), path)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d, %v\n%s", path, status, err, page)
	}
	return page
}

func (c shop) post(t *testing.T, path string, form url.Values) string {
	t.Helper()
	return c.send(t, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

func (c shop) send(t *testing.T, path, kind string, body []byte) string {
	t.Helper()
	status, page, err := c.owner.Send(t.Context(), path, kind, bytes.NewReader(body))
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d, %v\n%s", path, status, err, page)
	}
	return page
}

// plainServer is the address that players without TLS are set up with.
func (c shop) plainServer() string { return fmt.Sprintf("http://localhost:%d", c.HTTP) }

// TestSecretsStayOutOfLogs does what makes processes say something, with codes and auth codes in every place where players
// put them; newShop looks into the log.
func TestSecretsStayOutOfLogs(t *testing.T) {
	c := newShop(t)
	ask := func(address string, header ...string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		res, err := client.Do(req)
		if err == nil {
			t.Cleanup(func() { res.Body.Close() })
		}
		return res, err
	}
	const query = "/api/playlists?hostname=kiosk&quickconnect_code="
	plain := c.plainServer()
	wrongPort := fmt.Sprintf("http://localhost:%d", c.HTTPS)
	for address, want := range map[string]int{
		c.URL("") + query + "ABC123XYZ":          200,
		c.URL("") + query + "wrong-one":          401,
		c.URL("") + "/api/playlists/1":           401,
		c.URL("") + "/api/media/abc123/menu.jpg": 404,
		plain + query + "ABC123XYZ":              426,
		wrongPort + query + "ABC123XYZ":          426,
	} {
		res, err := ask(address, "Authorization", "Bearer test123abc123", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", address, res.Status, want)
		}
	}
	// While console is away proxy answers, and says so in its log.
	kill(t, c.Stack, "console")
	eventually(t, "proxy misses console", func() error {
		res, err := ask(c.URL("") + query + "ABC123XYZ")
		if err != nil {
			return err
		}
		if out := c.Output(); !strings.Contains(out, "does not answer") {
			return fmt.Errorf("proxy answers %s and says nothing", res.Status)
		}
		return nil
	})
	eventually(t, "console is back", func() error {
		res, err := ask(c.URL("") + query + "ABC123XYZ")
		if err == nil && res.StatusCode != 200 {
			err = errors.New(res.Status)
		}
		return err
	})
}

// TestReportsSurvive: what was acknowledged as kept is there after console was killed.
func TestReportsSurvive(t *testing.T) {
	c := newShop(t)
	screen := all(`data-live="(\d+)/name">Screen kiosk`, c.see(t, "/screens"))
	if len(screen) != 1 {
		t.Fatalf("screens %v", screen)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			body := fmt.Sprintf(`{"hostname":"kiosk","quickconnect_code":"ABC123XYZ","status":"playing","message":"report %d","id":"%d"}`, n, n)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL("")+"/api/player-feedback", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			answer, err := io.ReadAll(res.Body)
			if err != nil || !strings.Contains(string(answer), `"kept":true`) {
				t.Errorf("report %d: %s %s %v", n, res.Status, answer, err)
			}
		})
	}
	wg.Wait()
	kill(t, c.Stack, "console")
	eventually(t, "all reports are there", func() error {
		_, page, err := c.owner.Get(t.Context(), "/screens/"+screen[0])
		if err != nil {
			return err
		}
		for n := range 8 {
			if !strings.Contains(page, fmt.Sprintf("report %d<", n)) {
				return fmt.Errorf("report %d is not there", n)
			}
		}
		return nil
	})
}
