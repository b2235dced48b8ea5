package route_test

import (
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"porthole/packages/proxy/route"
)

// behindProxies trusts two proxies; the device's own network is 192.168.1.0/24.
func behindProxies(w *world) route.Config {
	cfg := w.cfg
	cfg.Trusted = func() []netip.Prefix {
		return []netip.Prefix{netip.MustParsePrefix("192.168.1.5/32"), netip.MustParsePrefix("203.0.113.0/28"), netip.MustParsePrefix("fd00::5/128"), netip.MustParsePrefix("127.0.0.1/32")}
	}
	cfg.Near = func(a netip.Addr) bool { return netip.MustParsePrefix("192.168.1.0/24").Contains(a) || a.IsLoopback() }
	return cfg
}

// TestOrigin: who a request comes from, and over what, is what a listed proxy says and nobody else.
func TestOrigin(t *testing.T) {
	w := newWorld(t)
	w.start(t, "console")
	h := route.Public(behindProxies(w))
	const proxy, friend, stranger = "192.168.1.5:1000", "192.168.1.77:1000", "198.51.100.7:1000"
	for name, c := range map[string]struct {
		peer   string
		header []string
		client string
		scheme string
		host   string
		near   string
	}{
		"stranger":               {stranger, nil, "198.51.100.7", "https", "h", ""},
		"stranger spoofs":        {stranger, []string{"X-Forwarded-For", "192.168.1.9", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil", "Porthole-Near", "1", "Forwarded", "for=192.168.1.9"}, "198.51.100.7", "https", "h", ""},
		"friend":                 {friend, nil, "192.168.1.77", "https", "h", "1"},
		"friend spoofs":          {friend, []string{"X-Forwarded-For", "192.168.1.9", "Porthole-Near", "0"}, "192.168.1.77", "https", "h", "1"},
		"mapped":                 {"[::ffff:192.168.1.5]:1000", []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7", "https", "h", ""},
		"IPv6 proxy":             {"[fd00::5]:1000", []string{"X-Forwarded-For", "2001:db8::1"}, "2001:db8::1", "https", "h", ""},
		"proxy alone":            {proxy, nil, "192.168.1.5", "https", "h", ""},
		"proxy's client":         {proxy, []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "Shop.example:8443"}, "198.51.100.7", "http", "Shop.example:8443", ""},
		"proxy's friend":         {proxy, []string{"X-Forwarded-For", "192.168.1.77"}, "192.168.1.77", "https", "h", "1"},
		"distant proxy's friend": {"203.0.113.4:99", []string{"X-Forwarded-For", "192.168.1.77"}, "192.168.1.77", "https", "h", ""},
		"client spoofs":          {proxy, []string{"X-Forwarded-For", "192.168.1.9, 198.51.100.7"}, "198.51.100.7", "https", "h", ""},
		"client spoofs a proxy":  {proxy, []string{"X-Forwarded-For", "192.168.1.77, 203.0.113.99, 203.0.113.4"}, "203.0.113.99", "https", "h", ""},
		"two proxies":            {proxy, []string{"X-Forwarded-For", "198.51.100.7, 203.0.113.4"}, "198.51.100.7", "https", "h", ""},
		"two lines":              {proxy, []string{"X-Forwarded-For", "192.168.1.9", "X-Forwarded-For", "198.51.100.7", "X-Forwarded-For", "203.0.113.4"}, "198.51.100.7", "https", "h", ""},
		"proxies only":           {proxy, []string{"X-Forwarded-For", "203.0.113.4"}, "192.168.1.5", "https", "h", ""},
		"not known behind":       {proxy, []string{"X-Forwarded-For", "192.168.1.77, unknown"}, "192.168.1.5", "https", "h", ""},
		"loopback behind":        {proxy, []string{"X-Forwarded-For", "::1"}, "::1", "https", "h", ""},
		"its own loopback":       {"127.0.0.1:9", []string{"X-Forwarded-For", "192.168.1.77"}, "192.168.1.77", "https", "h", "1"},
		"zone":                   {proxy, []string{"X-Forwarded-For", "fe80::1%eth0"}, "192.168.1.5", "https", "h", ""},
		"with ports":             {proxy, []string{"X-Forwarded-For", "[2001:db8::1]:99, 203.0.113.4:1"}, "2001:db8::1", "https", "h", ""},
		"nonsense":               {proxy, []string{"X-Forwarded-For", "<b>", "X-Forwarded-Proto", "ftp", "X-Forwarded-Host", "a/b"}, "192.168.1.5", "https", "h", ""},
		"lists":                  {proxy, []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "https, HTTP", "X-Forwarded-Host", "evil, h2"}, "198.51.100.7", "http", "h2", ""},
		"RFC 7239":               {proxy, []string{"Forwarded", `for=192.168.1.9;host=evil, For="[2001:db8::7]:4711" ; Proto=http;by=_x;host="a.example:8443", for=203.0.113.4;host=inner`}, "2001:db8::7", "http", "a.example:8443", ""},
		"RFC 7239, unquoted":     {proxy, []string{"Forwarded", "for=[2001:db8::7]:99"}, "2001:db8::7", "https", "h", ""},
		"RFC 7239, obfuscated":   {proxy, []string{"Forwarded", "for=192.168.1.9, for=_hidden"}, "192.168.1.5", "https", "h", ""},
		"RFC 7239, broken":       {proxy, []string{"Forwarded", `for="198.51.100.7`}, "192.168.1.5", "https", "h", ""},
		"RFC 7239, twice":        {proxy, []string{"Forwarded", "for=198.51.100.7;for=192.168.1.77"}, "192.168.1.5", "https", "h", ""},
		"both agree":             {proxy, []string{"X-Forwarded-For", "198.51.100.7", "Forwarded", "for=198.51.100.7;proto=http", "X-Forwarded-Host", "x"}, "198.51.100.7", "https", "x", ""},
		"both differ":            {proxy, []string{"X-Forwarded-For", "198.51.100.7", "Forwarded", "for=192.168.1.77", "X-Forwarded-Host", "x"}, "192.168.1.5", "https", "h", ""},
		"both, one unreadable":   {proxy, []string{"X-Forwarded-For", "198.51.100.7", "Forwarded", "?"}, "192.168.1.5", "https", "h", ""},
		"hops without end":       {proxy, []string{"X-Forwarded-For", "192.168.1.77" + strings.Repeat(",203.0.113.4", 100)}, "192.168.1.5", "https", "h", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/media", nil)
			r.Host, r.RemoteAddr = "h", c.peer
			for p := range slices.Chunk(c.header, 2) {
				r.Header.Add(p[0], p[1])
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			got := sawOf(t, rec.Result()).Header
			for k, want := range map[string]string{"X-Forwarded-For": c.client, "X-Forwarded-Proto": c.scheme, "X-Forwarded-Host": c.host, "Porthole-Near": c.near, "Forwarded": ""} {
				if v := strings.Join(got.Values(k), "|"); v != want {
					t.Errorf("%s: %q, want %q", k, v, want)
				}
			}
		})
	}
}

// TestProxyOnPlainPort: a listed proxy that has ended TLS itself brings the API, and is told about pages: a redirect would
// come back for ever.
func TestProxyOnPlainPort(t *testing.T) {
	w := newWorld(t)
	w.start(t, "console")
	h := route.Plain(behindProxies(w), 443)
	get := func(peer, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Host, r.RemoteAddr = "h", peer
		r.Header.Set("X-Forwarded-Proto", "https")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	if s := sawOf(t, get("192.168.1.5:1", "/api/playlists/1").Result()); s.Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%+v", s)
	}
	if rec := get("192.168.1.5:1", "/media"); rec.Code != 421 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := get("192.168.1.6:1", "/media"); rec.Code != 302 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// FuzzForwarded: whatever a listed proxy passes on, what console reads is an address, http or https, and a host; and near
// is only who is in our network.
func FuzzForwarded(f *testing.F) {
	for _, s := range [][2]string{{"192.168.1.77", ""}, {"1.2.3.4, 203.0.113.4", `for="[::1]"`}, {"", `for=1.2.3.4;proto=https;host="h\"x"`}, {"[::1]:1", "for=a,;;=,"}, {"", `for="\`}} {
		f.Add(s[0], s[1], "https", "h")
	}
	var got [4]string
	w := &world{dir: f.TempDir()}
	cfg := behindProxies(w)
	cfg.Console = rounds(func(h map[string][]string) {
		for i, k := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Porthole-Near"} {
			got[i] = strings.Join(h[k], "|")
		}
	})
	cfg.Signaling = cfg.Console
	cfg.Log = quiet()
	h := route.Public(cfg)
	f.Fuzz(func(t *testing.T, x, rfc, proto, host string) {
		r := httptest.NewRequest("GET", "/media", nil)
		r.Host, r.RemoteAddr = "h", "192.168.1.5:1"
		r.Header["X-Forwarded-For"], r.Header["Forwarded"] = []string{x}, []string{rfc}
		r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"] = []string{proto}, []string{host}
		got = [4]string{}
		h.ServeHTTP(httptest.NewRecorder(), r)
		a, err := netip.ParseAddr(got[0])
		if err != nil || a.Zone() != "" || a.Is4In6() || got[1] != "http" && got[1] != "https" || got[2] == "" || strings.ContainsAny(got[2], "/@?# \"<>|") {
			t.Fatalf("%q", got)
		}
		if got[3] == "1" && !netip.MustParsePrefix("192.168.1.0/24").Contains(a) {
			t.Fatalf("%s is near", a)
		}
		if got[0] == "192.168.1.5" && got[3] != "" {
			t.Fatal("a proxy that names nobody is near")
		}
	})
}
