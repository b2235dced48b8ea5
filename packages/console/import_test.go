package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

const oldPlugin = `AlexaCamProxy4P3:
    class_name: AlexaCamProxy4P3
    port: 443
    proxy_url: 'Cams.Example.org'
    proxy_credentials: 'alexa:hunter2-long'
    proxy_auth_type: 'DIGEST'
    only_allow_own_IP: true
    shoe_size: 44
`

const oldItems = `doorcam:
    alexa_name: Front <door>
    alexa_device: doorcam
    alexa_icon: CAMERA
    alexa_actions: InitializeCameraStreams
    alexa_csc_uri: '{"Stream1":"192.168.178.9/1","Stream2":"rtsp://192.168.178.9/2"}'
    alexa_auth_cred: 'joe:hunter2'
    alexa_stream_1: '{"protocols":["RTSP"]}'
    alexa_stream_2: '{"protocols":["RTSP"]}'
    alexa_csc_proxy_uri: cams.example.org:443
`

// TestImport: looking changes nothing and says what became of every line; taking over does what was said.
func TestImport(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	before := d.proxySettings()
	a := b.post("/settings/import", "plugin", oldPlugin, "items", oldItems)
	checkPage(t, "import", a)
	expect(t, "what was found", a.body, "Front &lt;door&gt; (doorcam)", "<dd>alexa</dd>", "public name cams.example.org, allow list on", "plugin.yaml, line 4", "items, line 6", "shoe_size", `name="take" value="1"`, "!Front <door>")
	if after := d.proxySettings(); after.Revision != before.Revision {
		t.Errorf("looking changed the settings: %+v", after)
	}
	if a := b.post("/settings/import", "plugin", oldPlugin, "items", oldItems, "take", "1"); a.status != http.StatusSeeOther || a.location != "/" {
		t.Fatalf("take over: %d to %q\n%s", a.status, a.location, a.body)
	}
	expect(t, "home", b.get("/").body, "Taken over: cameras 1, RTSP accounts 1.", "Front &lt;door&gt;")
	p := d.proxySettings()
	want := settings.Camera{
		ID: "doorcam", Name: "Front <door>", URL: "rtsp://192.168.178.9/1", MoreURLs: []string{"rtsp://192.168.178.9/2"}, User: "joe", Password: "hunter2",
		Transport: settings.Auto, Auth: settings.DigestAuth,
	}
	if d := cmp.Diff([]settings.Camera{want}, p.Cameras, noTokens); d != "" {
		t.Error(d)
	}
	if p.PublicName != "cams.example.org" || !p.Access.Restricted || len(p.Accounts) != 2 || p.Accounts[1].User != "alexa" || len(p.Cameras[0].TokenHashes) != 2 {
		t.Errorf("%+v", p)
	}
	expect(t, "the next look", b.post("/settings/import", "items", oldItems).body, "here already and would be replaced: Front &lt;door&gt;")
	for name, form := range map[string][]string{
		"nothing":          {"take", "1"},
		"something else":   {"plugin", "knx:\n    class_name: KNX\n", "take", "1"},
		"not even YAML":    {"items", "\t{{{", "take", "1"},
		"a very long file": {"items", strings.Repeat("# nothing here\n", 60_000), "take", "1"},
	} {
		a := b.post("/settings/import", form...)
		if a.status != http.StatusOK || !strings.Contains(a.body, "Nothing to take over.") {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if again := d.proxySettings(); again.Revision != p.Revision {
		t.Errorf("nothing changed the settings: %+v", again)
	}
	if a := b.post("/settings/import", "items", strings.Repeat("x", 4<<20)); a.status != http.StatusBadRequest {
		t.Errorf("4 MB: %d", a.status)
	}
}

// TestImportPlayer: the screen takes a player's place at its server; with another server than before goes what was the
// former one's.
func TestImportPlayer(t *testing.T) {
	const config = `{
  "server": {"url": "https://signage.example.com", "hostname": "tv-1", "quickconnect_code": "hunter2-code", "verify_ssl": false},
  "connection": {"timeout": 7}, "orientation": "Portrait"
}`
	d := newDevice(t).start()
	b := d.claimed()
	a := b.post("/settings/import", "player", config)
	checkPage(t, "import", a)
	expect(t, "what was found", a.body, "follows https://signage.example.com, as tv-1, portrait, pins the server’s certificate at the first connection",
		"app_config.json, line 2", "checking cannot be switched off here", `name="take" value="1"`)
	players := follow[settings.Player](d, "player")
	if v := next(t, players); !cmp.Equal(v.Settings, settings.PlayerSettings{}) {
		t.Errorf("looking changed the settings: %+v", v.Settings)
	}
	take := func(config, say string, want settings.PlayerSettings) {
		t.Helper()
		if a := b.post("/settings/import", "player", config, "take", "1"); a.status != http.StatusSeeOther {
			t.Fatalf("take over: %d\n%s", a.status, a.body)
		}
		expect(t, "home", b.get("/").body, say)
		eventually(t, "player is told", func() bool {
			var now settings.Player
			_, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/player?after=0", nil, &now)
			return err == nil && cmp.Equal(now.Settings, want)
		})
	}
	want := settings.PlayerSettings{
		Show: settings.ShowProgram, Server: "https://signage.example.com", Hostname: "tv-1", QuickConnectCode: "hunter2-code", Timeout: 7,
		Trust: settings.TrustFirst, Orientation: "portrait",
	}
	take(config, "The screen follows https://signage.example.com.", want)
	// The same server without a code keeps it.
	take(`{"server": {"url": "https://signage.example.com", "hostname": "tv-2"}}`, "The screen follows", func() settings.PlayerSettings {
		w := want
		w.Hostname = "tv-2"
		return w
	}())
	want.Server, want.Hostname, want.QuickConnectCode, want.Trust = "https://other.example.com", "tv-3", "", ""
	take(`{"server": {"url": "https://other.example.com", "hostname": "tv-3"}}`, "The screen follows https://other.example.com.", want)
}
