package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	console "porthole/packages/console"
)

// TestSessionIdle: a session that is used now and then goes on for ever, one that is not ends after 30 days.
func TestSessionIdle(t *testing.T) {
	d := newDevice(t)
	synctest.Test(t, func(t *testing.T) {
		h, claim, done, err := console.Public(t.Context(), d.options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := done(); err != nil {
				t.Error(err)
			}
		}()
		var cookie *http.Cookie
		call := func(method, target string, form url.Values) *http.Response {
			r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if cookie != nil {
				r.AddCookie(cookie)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			res := w.Result()
			for _, c := range res.Cookies() {
				cookie = c
			}
			return res
		}
		code, err := claim()
		if err != nil {
			t.Fatal(err)
		}
		if res := call("POST", "/claim", url.Values{"code": {code}, "password": {password}, "confirm": {password}}); res.StatusCode != http.StatusSeeOther {
			t.Fatalf("claim: %s", res.Status)
		}
		// Looking at the page all the time writes nothing to the card.
		for range 12 {
			<-time.After(4 * time.Minute)
			if res := call("GET", "/fragments/home", nil); res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 {
				t.Fatalf("a look at the page: %s, cookies %v", res.Status, res.Cookies())
			}
		}
		for month := range 6 {
			<-time.After(29 * 24 * time.Hour)
			res := call("GET", "/", nil)
			if res.StatusCode != http.StatusOK || len(res.Cookies()) != 1 || res.Cookies()[0].MaxAge < 30*24*3600 {
				t.Fatalf("month %d: %s, cookies %v", month, res.Status, res.Cookies())
			}
		}
		<-time.After(31 * 24 * time.Hour)
		if res := call("GET", "/", nil); res.Header.Get("Location") != "/login" {
			t.Errorf("unused for 31 days: %s to %q", res.Status, res.Header.Get("Location"))
		}
	})
}
