package imports_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/imports"
	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

const plugin = `# etc/plugin.yaml
knx:
    class_name: KNX
    class_path: plugins.knx
    host: 192.168.178.2
AlexaCamProxy4P3:
    class_name: AlexaCamProxy4P3
    class_path: plugins.alexacamproxy4p3
    port: 443
    video_buffer: 524280
    cert_path: '/usr/local/smarthome/plugins/alexacamproxy4p3/fullchain.pem'
    cert_path_key: '/usr/local/smarthome/plugins/alexacamproxy4p3/privkey.pem'
    proxy_url: 'Cams.Example.org'
    proxy_credentials: 'alexa:hunter2-long'
    proxy_auth_type: 'DIGEST'
    only_allow_own_IP: true
`

const items = `haus:
    eingang:
        name: Eingang
        Türkamera:
            name: doorcam
            alexa_description: Haustürkamera
            alexa_name: Haustür
            alexa_device: doorcam
            alexa_icon: CAMERA
            alexa_actions: InitializeCameraStreams
            alexa_camera_imageUri: 'http://192.168.178.9/snapshot/view0.jpg'
            alexa_csc_uri: '{"Stream1":"192.168.178.9","Stream2":"rtsp://192.168.178.9/2","Stream3":"http://192.168.178.9/3"}'
            alexa_auth_cred: 'USER:secret:PWD'
            alexa_stream_1: '{
              "protocols":["RTSP"],
              "resolutions":[{"width":1920,"height":1080}],
              "authorizationTypes":["BASIC"],
              "videoCodecs":["H264"],
              "audioCodecs":["G711"]
              }'
            alexa_stream_2: '{"protocols":["RTSP"],"resolutions":[{"width":640,"height":360}]}'
            alexa_stream_3: '{"protocols":["RTSP"]}'
            alexa_csc_proxy_uri: cams.example.org:443
            alexa_proxy_credentials: 'alexa:hunter2-long'
            alexa_cam_modifiers: '/del_audio/mod_ntp/b=AS:50/del_xaccept/sparkle'
    licht:
        type: bool
        alexa_name: Licht
        alexa_actions: TurnOn TurnOff
garten:
    alexa_csc_uri:
        Stream1: rtsp://joe:camerapw@192.168.178.10:554/live
    alexa_stream_1:
        protocols: [RTSP]
`

// TestWhole: the files of a household become what the same household would have typed in here.
func TestWhole(t *testing.T) {
	got := imports.Read(imports.File{Name: "plugin.yaml", Content: []byte(plugin)}, imports.File{Name: "items/haus.yaml", Content: []byte(items)})
	want := provision.File{
		Access:   provision.Access{PublicName: "cams.example.org", OnlyOwnNetwork: new(true)},
		Accounts: []provision.Account{{User: "alexa", Password: "hunter2-long"}},
		Cameras: []settings.Camera{
			{
				ID: "tuerkamera", Name: "Haustür", URL: "rtsp://192.168.178.9", MoreURLs: []string{"rtsp://192.168.178.9/2"},
				User: "USER", Password: "secret:PWD", Transport: settings.Auto, Auth: settings.DigestAuth,
				Options: settings.StreamOptions{DropAudio: true, NptNow: true, BandwidthKbps: 50},
			},
			{ID: "garten", Name: "garten", URL: "rtsp://192.168.178.10:554/live", User: "joe", Password: "camerapw", Transport: settings.Auto, Auth: settings.DigestAuth},
		},
	}
	if d := cmp.Diff(want, got.Provision); d != "" {
		t.Error(d)
	}
	var b strings.Builder
	if err := got.Report(&b); err != nil {
		t.Fatal(err)
	}
	report := b.String()
	for _, line := range []string{
		"plugin.yaml:9: AlexaCamProxy4P3.port: taken over",
		"plugin.yaml:10: AlexaCamProxy4P3.video_buffer: not needed",
		"plugin.yaml:12: AlexaCamProxy4P3.cert_path_key: not needed",
		"plugin.yaml:13: AlexaCamProxy4P3.proxy_url: taken over: the public name is cams.example.org",
		"plugin.yaml:14: AlexaCamProxy4P3.proxy_credentials: taken over: as RTSP account alexa",
		"plugin.yaml:16: AlexaCamProxy4P3.only_allow_own_IP: taken over",
		"plugin.yaml: not needed: 1 other sections",
		"items/haus.yaml:12: haus.eingang.Türkamera.alexa_csc_uri: refused: Stream3 must start with rtsp://",
		"items/haus.yaml:22: haus.eingang.Türkamera.alexa_stream_3: refused: there is no address",
		"items/haus.yaml:25: haus.eingang.Türkamera.alexa_cam_modifiers: refused: sparkle",
		"items/haus.yaml:25: haus.eingang.Türkamera.alexa_cam_modifiers: taken over: del_audio as option drop_audio",
		"items/haus.yaml:11: haus.eingang.Türkamera.alexa_camera_imageUri: not needed",
		"haus.eingang.Türkamera: taken over: as camera tuerkamera with 2 streams",
		"2 cameras and 1 RTSP accounts taken over, 3 lines refused",
	} {
		if !strings.Contains(report, line) {
			t.Errorf("the report lacks %q", line)
		}
	}
	if t.Failed() {
		t.Log(report)
	}
	for _, secret := range []string{"hunter2", "secret", "camerapw"} {
		if strings.Contains(report, secret) {
			t.Errorf("%q is in the report", secret)
		}
	}
	back, problems := provision.Parse(got.TOML())
	if d := cmp.Diff(want, back); d != "" || problems != nil {
		t.Errorf("the porthole.toml says: %v\n%s\n%s", problems, d, got.TOML())
	}
}

// TestRefused: what cannot be taken over is named with its line.
func TestRefused(t *testing.T) {
	proxy := "P:\n  class_path: plugins.alexacamproxy4p3\n  "
	for name, c := range map[string]struct {
		in, want string
	}{
		"no YAML":               {"a:\n\tb: c\n", "f:2: refused: from here on the file is no YAML"},
		"binary":                {"\xff\xfe\x00", "f: refused: the file is no text"},
		"empty":                 {"# nothing\n", "f: not needed: the file is empty"},
		"something else":        {"a: {b: c}\n", "f: not needed: there is no AlexaCamProxy4P3"},
		"too large":             {strings.Repeat("# filler\n", imports.MaxSize/9+1), "f: refused: the file has more than 1024 KiB"},
		"auth":                  {proxy + "proxy_auth_type: KERBEROS\n", "f:3: P.proxy_auth_type: refused: must be"},
		"auth none":             {proxy + "proxy_auth_type: NONE\n", "f:3: P.proxy_auth_type: changed: nobody is asked"},
		"port":                  {proxy + "port: 8443\n", "f:3: P.port: changed: the port is 443"},
		"name":                  {proxy + "proxy_url: 203.0.113.7\n", "f:3: P.proxy_url: refused: is no DNS name"},
		"own IP":                {proxy + "only_allow_own_IP: maybe\n", "f:3: P.only_allow_own_IP: refused: must be true or false"},
		"list":                  {proxy + "port: [1, 2]\n", "f:3: P.port: refused: this is no single value"},
		"key":                   {proxy + "colour: blue\n", "f:3: P.colour: not needed: no such setting"},
		"short password":        {proxy + "proxy_credentials: 'a:b'\n", "f:3: P.proxy_credentials: refused: the password cannot be used here"},
		"no credentials":        {proxy + "proxy_credentials: 'nonsense'\n", "f:3: P.proxy_credentials: refused: this is not user:password"},
		"base64":                {proxy + "proxy_credentials: YWxleGE6aHVudGVyMi1sb25n\n", "f:3: P.proxy_credentials: taken over: as RTSP account alexa"},
		"VLC":                   {proxy + "proxy_credentials: 'myproxy:12345678'\n", "VLC stumbles"},
		"twice":                 {proxy + "port: 443\n  port: 444\n", "f:4: P.port: refused: is already on line 3"},
		"alias":                 {"x: &x {alexa_csc_uri: 'a'}\ny: *x\n", "f:2: y: refused: aliases"},
		"no JSON":               {"cam:\n  alexa_csc_uri: 'Stream1: x'\n", "f:2: cam.alexa_csc_uri: refused: must look like"},
		"no address":            {"cam:\n  alexa_stream_1: '{}'\n", "f:2: cam: refused: the camera is left out"},
		"stream 4":              {"cam:\n  alexa_csc_uri: '{\"Stream1\":\"h\"}'\n  alexa_stream_4: '{}'\n", "f:3: cam.alexa_stream_4: refused: a camera has streams 1 to 3"},
		"HLS":                   {"cam:\n  alexa_csc_uri: '{\"Stream1\":\"h\"}'\n  alexa_stream_1: '{\"protocols\":[\"HLS\"]}'\n", "f:3: cam.alexa_stream_1: refused: its protocol is not RTSP"},
		"two names":             {"cam:\n  alexa_csc_uri: '{\"Stream1\":\"h\"}'\n  alexa_csc_proxy_uri: a.example.org\ncam2:\n  alexa_csc_proxy_uri: b.example.org\n", "f:5: cam2.alexa_csc_proxy_uri: refused: the device has one public name"},
		"key file":              {"DASHBOARD_SSL_KEY_FILE=/etc/letsencrypt/live/cams.example.org/privkey.pem\nX=1\n", "f:1: DASHBOARD_SSL_KEY_FILE: refused: a private key cannot be handed over"},
		"certificate":           {"export DASHBOARD_SSL_CERT_FILE='/etc/letsencrypt/live/cams.example.org/fullchain.pem'\n", "f:1: DASHBOARD_SSL_CERT_FILE: taken over: the public name is cams.example.org"},
		"key's rights":          {"DASHBOARD_SSL_KEY_FILE=/etc/letsencrypt/live/cams.example.org/privkey.pem\n", "Nobody else needs to read /etc/letsencrypt/live/cams.example.org/privkey.pem"},
		"switched off":          {"DASHBOARD_SSL_ENABLED=False\n", "f:1: DASHBOARD_SSL_ENABLED: changed: it is off there"},
		"switched on":           {"DASHBOARD_SSL_ENABLED=true\n", "f:1: DASHBOARD_SSL_ENABLED: not needed"},
		"reference project":     {"TLS_CERT_PATH=/etc/letsencrypt/live/Cams.example.org/fullchain.pem\n", "f:1: TLS_CERT_PATH: taken over: the public name is cams.example.org"},
		"certificate elsewhere": {"DASHBOARD_SSL_CERT_FILE=/app/certs/cert.pem\n", "f:1: DASHBOARD_SSL_CERT_FILE: not needed: the device makes its own"},
		"compose list":          {"services:\n  cams:\n    environment:\n      - PATH=/bin\n      - DASHBOARD_SSL_CERT_FILE=/le/live/cams.example.org/fullchain.pem\n", "f:5: DASHBOARD_SSL_CERT_FILE: taken over: the public name is cams.example.org"},
		"compose mapping":       {"services:\n  cams:\n    environment:\n      DASHBOARD_SSL_ENABLED: \"true\"\n      DASHBOARD_SSL_KEY_FILE: /le/privkey.pem\n", "f:5: DASHBOARD_SSL_KEY_FILE: refused"},
		"another environment":   {"PATH=/bin\n", "f: not needed: there are no DASHBOARD_SSL"},
		"deep":                  {strings.Repeat("{a: ", 60) + "x" + strings.Repeat("}", 60), "more than 50 deep"},
		"billion laughs":        {"a: &a [x]\nb: &b [*a, *a]\ncam:\n  alexa_csc_uri: {Stream1: *b}\n", "f:4: cam.alexa_csc_uri: refused"},
		"aliases in modifiers":  {"a: &a x\ncam:\n  alexa_csc_uri: '{\"Stream1\":\"h\"}'\n  alexa_cam_modifiers: {a: 1}\n", "f:4: cam.alexa_cam_modifiers: refused: this is no list"},
	} {
		t.Run(name, func(t *testing.T) {
			got := imports.Read(imports.File{Name: "f", Content: []byte(c.in)})
			var b strings.Builder
			if err := got.Report(&b); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), c.want) {
				t.Errorf("want %q in\n%s", c.want, b.String())
			}
		})
	}
}

// FuzzRead: whatever the files hold, what is taken over comes back out of the porthole.toml, no less and no more.
func FuzzRead(f *testing.F) {
	for _, s := range []string{plugin, items, "DASHBOARD_SSL_CERT_FILE=/a/b.example/c\nTLS_ENABLED=no\n", "environment: [DASHBOARD_SSL_CERT_FILE=/a/B.example/c, {}, 3]\n", "a:\n  environment: {TLS_KEY_PATH: \"\\e[31m\"}\n", "a: &a {<<: *a}\n", "cam:\n  alexa_csc_uri: {Stream1: 'rtsp://u:p%0a@h'}\n", "? {a: b}\n: c\n", "--- !!binary x\n"} {
		f.Add([]byte(s), []byte(items))
	}
	f.Add([]byte(newForm), []byte(serverCertificate(f)))
	f.Add([]byte(oldForm), []byte(`{"server": {"url": "https://h", "verify_ssl": true, "certificate_path": "~"}, "connection": {"timeout": 1e1}}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		imports.CertificatePath(a)
		got := imports.Read(imports.File{Name: "a", Content: a}, imports.File{Name: "b", Content: b})
		for _, n := range got.Notes {
			if s := n.String(); n.Outcome == "" || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Errorf("note %q", s)
			}
		}
		back, problems := provision.Parse(got.TOML())
		if d := cmp.Diff(got.Provision, back); d != "" || problems != nil {
			t.Errorf("%v\n%s\n%s", problems, d, got.TOML())
		}
	})
}
