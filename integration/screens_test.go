package integration_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"porthole/integration/stack"
	"porthole/media/render"
)

const declared = `
[[player]]
own = true
name = "Till"

[[player]]
hostname = "tv-door"
name = "Door"
quickconnect_code = "ABC123XYZ"
group = "Street"
`

// callAs makes a player's call, trusting the device's authority, and decodes its answer.
func callAs(t *testing.T, s *stack.Stack, path, bearer string, body, into any) int {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer tr.CloseIdleConnections()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(path), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Kiwy-Signage-Player/1.0")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if into != nil && res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, text)
		}
	}
	return res.StatusCode
}

// text waits until the page has all of the texts.
func (b *browser) text(t *testing.T, what string, texts ...string) {
	t.Helper()
	eventually(t, what, func() error {
		body := eval[string](t, b, `document.body.innerText`)
		for _, want := range texts {
			if !strings.Contains(body, want) {
				return fmt.Errorf("%q is missing in:\n%s", want, body)
			}
		}
		return nil
	})
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

func typed(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SendKeys(chromedp.CSS(selector), text)
}

// TestScreensInBrowser is a shop owner's first hour with screens: one declared in porthole.toml, one paired, one added by
// hand; a playlist for all of them, and which of them is which.
func TestScreensInBrowser(t *testing.T) {
	s := start(t, declared)
	u := admin(t, s)
	b := newBrowser(t, s)

	// The declared one is let in by its code, and says how it is.
	var login struct {
		AuthCode string `json:"auth_code"`
	}
	if status := callAs(t, s, "/api/auth/player", "", map[string]string{"hostname": "tv-door", "quickconnect_code": "ABC123XYZ"}, &login); status != http.StatusOK {
		t.Fatalf("the declared player cannot log in: %d", status)
	}
	if status := callAs(t, s, "/api/player-feedback", login.AuthCode, map[string]string{"hostname": "tv-door", "status": "playing", "message": "Playing a.jpg"}, nil); status != http.StatusOK {
		t.Fatalf("feedback: %d", status)
	}
	b.do(t, chromedp.Navigate(s.URL("/screens")), chromedp.WaitVisible(chromedp.CSS(`.screenlist`)))
	b.text(t, "the list of screens", "Till", "Door", "playing", "Group Street", "Has nothing to show")

	// A page that is open hears of what happens.
	callAs(t, s, "/api/auth/player", "", map[string]string{"hostname": "rpi-new", "quickconnect_code": "nonsense"}, nil)
	b.text(t, "somebody was turned away", "Turned away", "rpi-new", "Add a screen of that name")

	// By hand: from who was turned away to a code that works.
	b.do(t, chromedp.Navigate(s.URL("/screens/new?hostname=rpi-new")), typed(`#name`, "Window"), click(`form[action="/screens/new"] .primary`),
		chromedp.WaitVisible(chromedp.CSS(`#code-title`)))
	code := eval[string](t, b, `document.querySelector('#code-title').parentElement.querySelector('code').textContent`)
	if config := eval[string](t, b, `document.querySelector('#connect details code').textContent`); !strings.Contains(config, `"quickconnect_code": "`+code+`"`) || !strings.Contains(config, s.URL("")) {
		t.Errorf("the settings for the player:\n%s", config)
	}
	if status := callAs(t, s, "/api/auth/player", "", map[string]string{"hostname": "rpi-new", "quickconnect_code": code}, nil); status != http.StatusOK {
		t.Errorf("the code from the page: %d", status)
	}
	b.do(t, chromedp.Navigate(s.URL("/screens")), chromedp.WaitVisible(chromedp.CSS(`.screenlist`)))
	if body := eval[string](t, b, `document.body.innerText`); strings.Contains(body, "Turned away") {
		t.Errorf("it was let in and still is among those turned away:\n%s", body)
	}

	pairInBrowser(t, s, b)
	showOnAll(t, u, s, b)
	identifyInBrowser(t, s, b)
	peopleInBrowser(t, s, b)
	b.do(t, chromedp.EmulateViewport(320, 640))
	for _, path := range []string{"/screens", "/screens/2", "/screens/new", "/screens/pair", "/groups", "/groups/1", "/settings/signage", "/settings/people", "/settings/people/admin", "/settings/transfer"} {
		b.do(t, chromedp.Navigate(s.URL(path)), chromedp.WaitVisible(chromedp.CSS(`main`)))
		if w := eval[int](t, b, `document.documentElement.scrollWidth`); w > 320 {
			t.Errorf("%s needs %d pixels", path, w)
		}
	}
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}

// peopleInBrowser makes an account for somebody who then logs in.
func peopleInBrowser(t *testing.T, s *stack.Stack, b *browser) {
	t.Helper()
	b.do(t, chromedp.Navigate(s.URL("/settings/people")), typed(`#name`, "Anna"), typed(`#password`, "a password for Anna\r"), chromedp.WaitVisible(chromedp.CSS(`main > .notice.good`)))
	b.text(t, "the new account", "Anna can log in now, as editor.")
	u, err := s.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if status, page, err := u.Post(t.Context(), "/login", map[string][]string{"user": {"Anna"}, "password": {"a password for Anna"}}); err != nil || status != http.StatusOK || !strings.Contains(page, `data-live="signage"`) {
		t.Errorf("Anna logs in: %d, %v", status, err)
	}
	if status, _, err := u.Get(t.Context(), "/screens"); err != nil || status != http.StatusOK {
		t.Errorf("Anna looks at the screens: %d, %v", status, err)
	}
	if status, _, err := u.Get(t.Context(), "/screens/new"); err != nil || status != http.StatusForbidden {
		t.Errorf("Anna adds a screen: %d, %v", status, err)
	}
}

// pairInBrowser types the code that a screen shows.
func pairInBrowser(t *testing.T, s *stack.Stack, b *browser) {
	t.Helper()
	var p struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	b.do(t, chromedp.Navigate(s.URL("/screens/pair")), chromedp.WaitVisible(chromedp.CSS(`#code`)))
	if status := callAs(t, s, "/api/pair", "", map[string]string{"hostname": "pi-kitchen", "name": "Kitchen"}, &p); status != http.StatusOK {
		t.Fatalf("ask to be paired: %d", status)
	}
	b.text(t, "who waits is listed by itself", "Kitchen")
	b.do(t, typed(`#code`, strings.ToLower(p.UserCode)+"\r"), chromedp.WaitVisible(chromedp.CSS(`#found-title`)))
	b.text(t, "who it is", p.UserCode, "pi-kitchen")
	b.do(t, click(`button[value=approve]`), chromedp.WaitVisible(chromedp.CSS(`#settings-title`)))
	b.text(t, "paired", "Kitchen is paired")
	var login struct {
		AuthCode string `json:"auth_code"`
	}
	if status := callAs(t, s, "/api/pair/token", "", map[string]string{"device_code": p.DeviceCode}, &login); status != http.StatusOK || login.AuthCode == "" {
		t.Errorf("the paired screen gets no login: %d", status)
	}
}

// showOnAll gives one playlist to a group and two screens.
func showOnAll(t *testing.T, u *stack.User, s *stack.Stack, b *browser) {
	t.Helper()
	if status, page, err := u.Post(t.Context(), "/playlists", map[string][]string{"name": {"Menu"}}); err != nil || status != http.StatusOK {
		t.Fatalf("make a playlist: %d, %v\n%s", status, err, page)
	}
	b.do(t, chromedp.Navigate(s.URL("/screens")), chromedp.WaitVisible(chromedp.CSS(`#show-title`)))
	ticked := eval[int](t, b, `(() => {
		const form = document.querySelector('form[action="/screens/show"]');
		const menu = [...form.elements.playlist.options].find((o) => o.text.startsWith('Menu'));
		form.elements.playlist.value = menu.value;
		let n = 0;
		for (const l of form.querySelectorAll('.check label')) {
			if (/^(Street|Window|Kitchen)/.test(l.textContent)) { l.click(); n++; }
		}
		return n;
	})()`)
	if ticked != 3 {
		t.Fatalf("%d boxes", ticked)
	}
	b.do(t, click(`form[action="/screens/show"] .primary`), chromedp.WaitVisible(chromedp.CSS(`main > .notice.good`)))
	b.text(t, "what was done", "Menu is shown there from now on.")
	if n := eval[int](t, b, `document.querySelector('.screenlist').innerText.split('Menu is empty, or was never published').length - 1`); n != 3 {
		t.Errorf("%d screens have the playlist", n)
	}
}

// identifyInBrowser clicks Identify on the own screen's card and looks at its picture.
func identifyInBrowser(t *testing.T, s *stack.Stack, b *browser) {
	t.Helper()
	b.do(t, chromedp.Navigate(s.URL("/screens")), chromedp.WaitVisible(chromedp.CSS(`form[action$="/identify"]`)))
	at := eval[string](t, b, `document.querySelector('form[action$="/identify"]').closest('.camera').querySelector('img').getAttribute('src')`)
	before := ownPicture(t, b, at)
	b.do(t, click(`form[action$="/identify"] button`))
	b.text(t, "the page says so", "Till shows its name for half a minute.")
	named := render.NewImage(before.Bounds().Dx(), before.Bounds().Dy())
	render.Banner(named, "Till")
	eventually(t, "the screen's picture shows its name", func() error {
		after := ownPicture(t, b, at)
		if d := distance(named, after); d > 24 {
			return fmt.Errorf("its middle is %.0f from the name's", d)
		}
		return nil
	})
	if d := distance(named, before); d < 40 {
		t.Errorf("the picture before was %.0f from the name's already", d)
	}
	eventually(t, "the name goes away by itself", func() error {
		if d := distance(named, ownPicture(t, b, at)); d < 40 {
			return errors.New("it is still there")
		}
		return nil
	})
}

// ownPicture fetches a picture of a screen as the page does.
func ownPicture(t *testing.T, b *browser, at string) image.Image {
	t.Helper()
	text := eval[string](t, b, fmt.Sprintf(`(async () => {
		const b = new Uint8Array(await (await fetch(%q)).arrayBuffer());
		let s = '';
		for (const c of b) s += String.fromCharCode(c);
		return btoa(s);
	})()`, at))
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("the screen's picture: %v", err)
	}
	return m
}

// distance is the mean difference of what the name covers, in steps of 0 to 255.
func distance(name *render.Image, m image.Image) float64 {
	sum, n := 0.0, 0
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			r, g, b, a := name.At(x, y).RGBA()
			if a == 0 || r|g|b == 0 {
				continue // not covered
			}
			mr, mg, mb, _ := m.At(x, y).RGBA()
			for _, d := range []int{int(r>>8) - int(mr>>8), int(g>>8) - int(mg>>8), int(b>>8) - int(mb>>8)} {
				sum += float64(max(d, -d))
				n++
			}
		}
	}
	return sum / float64(max(n, 1))
}
