package web_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
	"porthole/packages/signaling/sitetest"
)

type iceAnswer struct {
	ICEServers []struct {
		URLs                 []string
		Username, Credential string
	} `json:"iceServers"`
	Expires time.Time
}

// checkCredentials does what a TURN server does (draft-uberti-behave-turn-rest-00).
func checkCredentials(t *testing.T, secret, user, name, password string) {
	t.Helper()
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(name))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); password != want {
		t.Errorf("the password of %s is %s", name, password)
	}
	end, who, _ := strings.Cut(name, ":")
	s, err := strconv.ParseInt(end, 10, 64)
	if left := time.Until(time.Unix(s, 0)); err != nil || left < 11*time.Hour || left > 12*time.Hour || who != user {
		t.Errorf("%s: %v left, %v", name, left, err)
	}
}

func TestICEServers(t *testing.T) {
	site := sitetest.New(t, nil)
	ask := func(token string) (iceAnswer, int) {
		t.Helper()
		res, body := request(t, site.Front, "GET", "/livestream/ice.json", token, "")
		var a iceAnswer
		if res.StatusCode == http.StatusOK {
			if err := json.Unmarshal([]byte(body), &a); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Error("credentials may be kept by anybody")
			}
		}
		return a, res.StatusCode
	}
	if a, status := ask(sitetest.AdminToken); status != 200 || a.ICEServers == nil || len(a.ICEServers) != 0 {
		t.Errorf("without servers: %d, %+v", status, a)
	}
	if _, status := ask(""); status != http.StatusUnauthorized {
		t.Errorf("nobody known: %d", status)
	}
	if res, _ := request(t, site.Front, "OPTIONS", "/cameras/demo/whep", sitetest.AdminToken, ""); res.StatusCode != 200 || res.Header.Values("Link") != nil {
		t.Errorf("%d, %q", res.StatusCode, res.Header.Values("Link"))
	}
	const secret = "north\"west"
	urls := []string{"turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:5349"}
	site.Web.SetICE(settings.Live{STUN: "stun.example.org:3478", TURN: settings.TURN{URLs: urls, Secret: secret}})
	a, _ := ask(sitetest.AdminToken)
	if len(a.ICEServers) != 2 || a.ICEServers[0].URLs[0] != "stun:stun.example.org:3478" || a.ICEServers[0].Credential != "" || !cmp.Equal(a.ICEServers[1].URLs, urls) {
		t.Fatalf("%+v", a)
	}
	checkCredentials(t, secret, "admin", a.ICEServers[1].Username, a.ICEServers[1].Credential)
	if left := time.Until(a.Expires); left < 5*time.Hour || left > 6*time.Hour {
		t.Errorf("kept for %v", left)
	}

	p := newPlayer(t, false)
	created, _ := request(t, site.Front, "POST", "/cameras/demo/whep", sitetest.AdminToken, p.offer, "Content-Type", "application/sdp")
	options, _ := request(t, site.Front, "OPTIONS", "/cameras/demo/whep", sitetest.AdminToken, "")
	for what, res := range map[string]*http.Response{"POST": created, "OPTIONS": options} {
		links := res.Header.Values("Link")
		if len(links) != 3 || links[0] != `<stun:stun.example.org:3478>; rel="ice-server"` {
			t.Fatalf("%s: %q", what, links)
		}
		for i, link := range links[1:] {
			var name, password string
			f := strings.Split(link, "; ")
			if len(f) == 5 {
				name, password = strings.TrimSuffix(strings.TrimPrefix(f[2], `username="`), `"`), strings.TrimSuffix(strings.TrimPrefix(f[3], `credential="`), `"`)
			}
			if len(f) != 5 || f[0] != "<"+urls[i]+">" || f[1] != `rel="ice-server"` || f[4] != `credential-type="password"` {
				t.Fatalf("%s: %q", what, f)
			}
			checkCredentials(t, secret, "admin", name, password)
		}
	}
	// A browser asks without credentials whether it may, and gets none.
	res, _ := request(t, site.Front, "OPTIONS", "/cameras/demo/whep", "", "")
	direct, _ := request(t, site.Direct, "OPTIONS", "/cameras/demo/whep", "", "")
	if res.StatusCode != 200 || direct.StatusCode != 200 || res.Header.Values("Link") != nil || direct.Header.Values("Link") != nil {
		t.Errorf("nobody known: %d, %q, %q", res.StatusCode, res.Header.Values("Link"), direct.Header.Values("Link"))
	}
	if res, _ := request(t, site.Front, "DELETE", created.Header.Get("Location"), sitetest.AdminToken, ""); res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
}
