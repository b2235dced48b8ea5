package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCurlLines runs every line that documents 001, 002 and 004 tell people to try, with this device's address in place of
// theirs. Where a line has no -k the device's authority is trusted, as the documents mean it.
func TestCurlLines(t *testing.T) {
	c := newShop(t)
	run := func(t *testing.T, line string) (out, progress string) {
		t.Helper()
		line = strings.ReplaceAll(line, "192.168.0.121:443", c.Addr())
		line = strings.ReplaceAll(line, "192.168.0.121", c.Addr())
		cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", line)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "CURL_CA_BUNDLE=" + c.CAFile()}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v (Debian: curl jq openssl)\n%s\n%s", line, err, stdout.String(), stderr.String())
		}
		return stdout.String(), strings.ToLower(stderr.String())
	}
	isPlaylist := func(t *testing.T, out string) {
		t.Helper()
		var p fieldPlaylist
		if err := json.Unmarshal([]byte(out), &p); err != nil || p.Count != 2 || len(p.Playlist) != 2 || !strings.HasPrefix(p.Playlist[0].URL, c.URL("")) {
			t.Errorf("%v: %s", err, out)
		}
	}
	has := func(t *testing.T, out string, wants ...string) {
		t.Helper()
		for _, w := range wants {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
	}
	isHealth := func(t *testing.T, out string) {
		t.Helper()
		var h struct{ Status, Version string }
		if err := json.Unmarshal([]byte(out), &h); err != nil || (h.Status != "ok" && h.Status != "degraded") || h.Version != "2.0.0" {
			t.Errorf("%v: %s", err, out)
		}
	}
	for name, try := range map[string]struct {
		line  string
		check func(t *testing.T, out, progress string)
	}{
		"001, CORS headers": {`curl -v https://192.168.0.121/api/health -H "Origin: *"`, func(t *testing.T, out, progress string) {
			has(t, progress, "< access-control-allow-origin: *")
			isHealth(t, out)
		}},
		"001, certificate": {`openssl s_client -connect 192.168.0.121:443 -showcerts </dev/null`, func(t *testing.T, out, _ string) {
			if n := strings.Count(out, "BEGIN CERTIFICATE"); n < 1 {
				t.Errorf("%d certificates in\n%s", n, out)
			}
		}},
		"001, endpoint": {`curl -k https://192.168.0.121/api/playlists \
  -G --data-urlencode "hostname=test" \
  --data-urlencode "quickconnect_code=test123" \
  -H "Origin: http://192.168.0.121"`, func(t *testing.T, out, _ string) { isPlaylist(t, out) }},
		"001, quick fix": {`curl -k https://192.168.0.121/api/health`, func(t *testing.T, out, _ string) { isHealth(t, out) }},
		"002, CORS headers": {`curl -v https://192.168.0.121/api/health`, func(t *testing.T, out, progress string) {
			has(t, progress, "< access-control-allow-origin: *")
			isHealth(t, out)
		}},
		"002, certificate": {`curl -k https://192.168.0.121/api/certificate`, func(t *testing.T, out, _ string) {
			var a struct {
				Certificate, Format string
				Info                map[string]string `json:"certificate_info"`
				Instructions        map[string]string `json:"integration_instructions"`
			}
			if err := json.Unmarshal([]byte(strings.Replace(out, "certificate_format", "format", 1)), &a); err != nil || a.Format != "PEM" || !strings.HasPrefix(a.Certificate, "-----BEGIN CERTIFICATE-----") || len(a.Instructions) == 0 {
				t.Errorf("%v: %s", err, out)
			}
			for _, k := range []string{"subject", "issuer", "valid_from", "valid_until", "fingerprint"} {
				if a.Info[k] == "" {
					t.Errorf("no %s in %v", k, a.Info)
				}
			}
		}},
		"002, OPTIONS": {`curl -X OPTIONS https://192.168.0.121/api/playlists -D -`, func(t *testing.T, out, _ string) {
			has(t, strings.ToLower(out), " 204", "allow: get, post, options", "access-control-allow-origin: *")
		}},
		"002, OPTIONS as it stands": {`curl -X OPTIONS https://192.168.0.121/api/playlists`, func(t *testing.T, out, _ string) {
			if out != "" {
				t.Errorf("%q", out)
			}
		}},
		"002, forwarded headers": {`curl -v https://192.168.0.121/`, func(t *testing.T, _, progress string) {
			has(t, progress, "< http/", "location: /login")
			if strings.Contains(progress, "location: http:") {
				t.Errorf("sent away from TLS:\n%s", progress)
			}
		}},
		"002, certificate's facts": {`curl -k https://192.168.0.121/api/certificate | jq '.certificate_info'`, func(t *testing.T, out, _ string) {
			has(t, out, `"subject":`, `"issuer":`, `"valid_until":`, `"fingerprint":`)
		}},
		"002, preflight": {`curl -X OPTIONS https://192.168.0.121/api/playlists \
  -H "Origin: http://192.168.0.121" \
  -H "Access-Control-Request-Method: GET" \
  -v`, func(t *testing.T, _, progress string) {
			has(t, progress, " 204", "access-control-allow-origin: *", "access-control-allow-methods: get, post, options",
				"access-control-allow-headers: content-type, authorization", "access-control-max-age: 3600")
			if strings.Contains(progress, "allow-credentials") {
				t.Errorf("credentials are allowed to everybody:\n%s", progress)
			}
		}},
		"002, playlist": {`curl -k https://192.168.0.121/api/playlists \
  --data-urlencode "hostname=test-player" \
  --data-urlencode "quickconnect_code=test123" \
  -H "Origin: *"`, func(t *testing.T, out, _ string) { isPlaylist(t, out) }},
	} {
		t.Run(name, func(t *testing.T) {
			out, progress := run(t, try.line)
			try.check(t, out, progress)
		})
	}
}
