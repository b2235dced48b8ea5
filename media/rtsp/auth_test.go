package rtsp

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// TestDigestVector checks the hash against the example of RFC 2617 section 3.5, whose response without qop is that of
// RFC 2069's scheme.
func TestDigestVector(t *testing.T) {
	c := credentials{nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", uri: "/dir/index.html", response: "670fd8c2df070c60b045671b8b24ff02"}
	ha1 := md5Hex("Mufasa:testrealm@host.com:Circle Of Life")
	if ha1 != "939e7578ed9e3c518a452acee763bce9" {
		t.Fatalf("HA1 = %s", ha1)
	}
	if !c.answers(ha1, "GET") {
		t.Error("the RFC's response is refused")
	}
	if c.answers(ha1, "POST") {
		t.Error("the response of another method is accepted")
	}
	c.response = strings.ToUpper(c.response)
	if !c.answers(ha1, "GET") {
		t.Error("a response in capitals is refused")
	}
}

func testGate() *gate {
	g := newGate()
	g.setAccounts([]Account{
		{User: "porthole", HA1: strings.ToUpper(md5Hex("porthole:" + Realm + ":s3cret:colon")), HA1SHA256: sha256Hex("porthole:" + Realm + ":s3cret:colon")},
		{User: "broken", HA1: "not hex"},
	})
	return g
}

// digestHeader answers a challenge the way a reader does. hashURI is the URI as it goes into the hash.
func digestHeader(user, password, nonce, method, uri, hashURI string) string {
	response := md5Hex(md5Hex(user+":"+Realm+":"+password) + ":" + nonce + ":" + md5Hex(method+":"+hashURI))
	return `Digest username="` + user + `", realm="` + Realm + `", nonce="` + nonce + `", uri="` + uri + `", response="` + response + `"`
}

// qopHeader answers for SETUP of /cam with MD5 or SHA-256 and, unless it is empty, a quality of protection.
func qopHeader(password, nonce, qop string, sha bool) string {
	hash, algorithm := md5Hex, "MD5"
	if sha {
		hash, algorithm = sha256Hex, "SHA-256"
	}
	middle, extra := ":", ""
	if qop != "" {
		middle = ":00000001:0a4f113b:" + qop + ":"
		extra = ", qop=" + qop + `, nc=00000001, cnonce="0a4f113b"`
	}
	response := hash(hash("porthole:"+Realm+":"+password) + ":" + nonce + middle + hash("SETUP:/cam"))
	return `Digest username="porthole", realm="` + Realm + `", nonce="` + nonce + `", uri="/cam", response="` + response + `", algorithm=` + algorithm + extra
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestGate(t *testing.T) {
	g := testGate()
	now := g.start.Add(time.Hour)
	fresh := g.nonce(now)
	const good = "s3cret:colon"
	digest := func(uri string) string { return digestHeader("porthole", good, fresh, "SETUP", uri, uri) }
	tests := []struct {
		name    string
		headers []string
		want    verdict
	}{
		{"nothing", nil, missing},
		{"two headers", []string{digest("/cam"), digest("/cam")}, missing},
		{"unknown scheme", []string{"Bearer abc"}, missing},
		{"basic", []string{basicHeader("porthole", good)}, granted},
		{"basic without padding", []string{strings.TrimRight(basicHeader("porthole", good), "=")}, granted},
		{"basic, wrong password", []string{basicHeader("porthole", "wrong")}, denied},
		{"basic, unknown user", []string{basicHeader("somebody", good)}, denied},
		{"basic, account without usable hash", []string{basicHeader("broken", "")}, denied},
		{"absolute", []string{digest("rtsp://cam.example:443/cam")}, granted},
		{"absolute with tls scheme", []string{digest("rtsps://cam.example/cam")}, granted},
		{"slash at the end", []string{digest("rtsp://cam.example/cam/")}, granted},
		{"relative", []string{digest("/cam")}, granted},
		{"track", []string{digest("rtsp://cam.example/cam/trackID=1")}, granted},
		{"query", []string{digest("rtsp://cam.example/cam?x=1")}, granted},
		{"space, hashed", []string{digest("rtsp://cam.example/cam ")}, granted},
		{"space, only hashed", []string{digestHeader("porthole", good, fresh, "SETUP", "/cam", "/cam ")}, granted},
		{"space, not hashed", []string{digestHeader("porthole", good, fresh, "SETUP", "/cam ", "/cam")}, granted},
		{"another camera", []string{digest("rtsp://cam.example/other")}, denied},
		{"another method", []string{digestHeader("porthole", good, fresh, "DESCRIBE", "/cam", "/cam")}, denied},
		{"wrong password", []string{digestHeader("porthole", "x", fresh, "SETUP", "/cam", "/cam")}, denied},
		{"unknown user", []string{digestHeader("somebody", good, fresh, "SETUP", "/cam", "/cam")}, denied},
		{"old nonce", []string{digestHeader("porthole", good, g.nonce(now.Add(-nonceLife-time.Second)), "SETUP", "/cam", "/cam")}, stale},
		{"old nonce, wrong password", []string{digestHeader("porthole", "x", g.nonce(now.Add(-time.Hour)), "SETUP", "/cam", "/cam")}, denied},
		{"nonce from the future", []string{digestHeader("porthole", good, g.nonce(now.Add(time.Minute)), "SETUP", "/cam", "/cam")}, stale},
		{"nonce of another process", []string{digestHeader("porthole", good, newGate().nonce(now), "SETUP", "/cam", "/cam")}, stale},
		{"nonce made up", []string{digestHeader("porthole", good, "abc", "SETUP", "/cam", "/cam")}, stale},
		{"md5 by name", []string{digest("/cam") + ", algorithm=MD5"}, granted},
		{"md5 said to be sha-256", []string{digest("/cam") + ", algorithm=SHA-256"}, denied},
		{"sha-256-sess", []string{digest("/cam") + ", algorithm=SHA-256-sess"}, missing},
		{"sha-256 without qop", []string{qopHeader(good, fresh, "", true)}, granted},
		{"sha-256", []string{qopHeader(good, fresh, "auth", true)}, granted},
		{"sha-256, wrong password", []string{qopHeader("x", fresh, "auth", true)}, denied},
		{"md5 with qop", []string{qopHeader(good, fresh, "auth", false)}, granted},
		{"auth-int", []string{qopHeader(good, fresh, "auth-int", true)}, missing},
		{"qop without counter", []string{strings.ReplaceAll(qopHeader(good, fresh, "auth", true), "nc=00000001, ", "")}, missing},
		{"qop without hash of it", []string{digest("/cam") + `, qop=auth, nc=00000001, cnonce="x"`}, denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := g.check(now, question{method: base.Setup, path: "cam", header: tt.headers, auth: AnyAuth}).verdict; got != tt.want {
				t.Errorf("check = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestChallenge(t *testing.T) {
	g := testGate()
	c := g.challenge(time.Now(), AnyAuth, false)
	if len(c) != 2 || !strings.HasPrefix(c[0], `Digest realm="Streaming Server", nonce="`) || c[1] != `Basic realm="Streaming Server"` {
		t.Fatalf("challenge = %q", c)
	}
	for _, word := range []string{"qop", "stale", "algorithm"} {
		if strings.Contains(c[0], word) {
			t.Errorf("challenge %q has %s", c[0], word)
		}
	}
	if c := g.challenge(time.Now(), AnyAuth, true); !strings.Contains(c[0], "stale=true") {
		t.Errorf("stale challenge = %q", c[0])
	}
}

func TestOpenGate(t *testing.T) {
	g := newGate()
	g.open = true
	if v := g.check(time.Now(), question{method: base.Describe, path: "cam"}).verdict; v != granted {
		t.Errorf("an open gate says %v", v)
	}
}

func FuzzAuthorization(f *testing.F) {
	g := testGate()
	nonce := g.nonce(time.Now())
	for _, s := range []string{
		"", "Basic", "Basic ", "Basic YTpi", "basic YTpi==", "Digest ", `Digest a="b\"c", , d=e`, `Digest username="a`, "Digest =",
		digestHeader("porthole", "s3cret:colon", nonce, "SETUP", "rtsp://h/cam ", "rtsp://h/cam "),
		`Digest username=a,realm=b,nonce=c,uri=d,response=e,uri=f`,
		"Digest " + strings.Repeat("a=b,", maxAuthParams+1),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseAuthorization(s)
		if err != nil {
			if c != (credentials{}) {
				t.Errorf("credentials %+v besides the error %v", c, err)
			}
			return
		}
		if len(c.user)+len(c.password)+len(c.nonce)+len(c.uri)+len(c.response) > len(s) {
			t.Errorf("more came out of %q than went in: %+v", s, c)
		}
		pathOf(c.uri)
		// Nobody gets in without knowing the password, which the seeds' nonce does not tell in another process.
		q := question{method: base.Play, path: "cam", header: base.HeaderValue{s}, auth: AnyAuth}
		if v := g.check(time.Now(), q).verdict; v == granted && !strings.Contains(s, "Basic") && !strings.Contains(s, nonce) {
			t.Errorf("%q is let in", s)
		}
	})
}
