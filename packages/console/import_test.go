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
