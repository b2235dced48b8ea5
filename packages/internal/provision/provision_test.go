package provision_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

const full = `hostname = "shop"

[admin]
password = 'correct \ horse'  # from the safe

[[camera]]
id = "door"
name = "Tür"
url = "rtsp://192.168.1.20/stream1"
user = "viewer"
password = "pass\"word"
transport = "udp"

[[camera]]
id = "yard"
url = "rtsps://joe:hunter2@cam.example:322/x?y=1"
url2 = "rtsp://joe:hunter2@cam.example/small"
url3 = "rtsp://cam.example/tiny"
auth = "digest"
always_on = true
options = "drop_audio, npt_now bandwidth_kbps=50"

[[account]]
user = "kitchen"
password = "eight-characters"

[access]
public_name = "Cams.Example.org"
only_own_network = false
allowed = "203.0.113.7, 198.51.100.0/24 friend.example.org"

[live]
public_address = "https://Cams.Example.org/"
stun = "stun.example.org"
turn = "turn:relay.example.org, turns:relay.example.org:443?transport=tcp"
turn_secret = "between-us"
per_camera = 20
total = 100
max_minutes = 0

[certificate]
password = 'of the pfx'

[player]
server = "https://signage.example.com:8443/"
hostname = "window"
quickconnect_code = "ABC123XYZ"
orientation = "portrait"
show = "camera"
camera = "door"
picture = "Menü 1.png"
`

func fullFile() provision.File {
	return provision.File{
		Hostname:      "shop",
		AdminPassword: `correct \ horse`,
		Cameras: []settings.Camera{
			{ID: "door", Name: "Tür", URL: "rtsp://192.168.1.20/stream1", User: "viewer", Password: `pass"word`, Transport: settings.UDP, Auth: settings.AnyAuth},
			{
				ID: "yard", Name: "yard", URL: "rtsps://cam.example:322/x?y=1", User: "joe", Password: "hunter2", Transport: settings.Auto,
				MoreURLs: []string{"rtsp://cam.example/small", "rtsp://cam.example/tiny"}, Auth: settings.DigestAuth, AlwaysOn: true,
				Options: settings.StreamOptions{DropAudio: true, NptNow: true, BandwidthKbps: 50},
			},
		},
		Accounts: []provision.Account{{User: "kitchen", Password: "eight-characters"}},
		Access: provision.Access{
			PublicName: "cams.example.org", OnlyOwnNetwork: new(false), Allowed: []string{"203.0.113.7", "198.51.100.0/24", "friend.example.org"},
		},
		Live: provision.Live{
			PublicAddress: "cams.example.org", STUN: "stun.example.org:3478",
			TURN: []string{"turn:relay.example.org:3478", "turns:relay.example.org:443?transport=tcp"}, TURNSecret: "between-us",
			PerCamera: 20, Total: 100, MaxMinutes: new(0),
		},
		CertificatePassword: "of the pfx",
		Player: provision.Player{
			Server: "https://signage.example.com:8443", Hostname: "window", QuickConnectCode: "ABC123XYZ", Orientation: "portrait",
			Show: settings.ShowCamera, Camera: "door", Picture: "Menü 1.png",
		},
	}
}

func toUTF16(s string, big bool) string {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		lo, hi := byte(u), byte(u>>8)
		if big {
			lo, hi = hi, lo
		}
		b.Write([]byte{lo, hi})
	}
	return b.String()
}

func TestWholeFile(t *testing.T) {
	crlf := strings.ReplaceAll(full, "\n", "\r\n")
	for name, in := range map[string]string{
		"plain": full, "CRLF": crlf, "byte order mark": "\ufeff" + crlf, "no last line end": strings.TrimSuffix(full, "\n"),
		"UTF-16": toUTF16(crlf, false), "UTF-16 big endian": toUTF16(full, true),
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := provision.Parse([]byte(in))
			if d := cmp.Diff(fullFile(), got); d != "" || problems != nil {
				t.Errorf("%v\n%s", problems, d)
			}
		})
	}
}

// cameraAt is a good camera to put among bad lines: it must always be taken.
const good = "\n[[camera]]\nid = \"good\"\nurl = \"rtsp://h/s\"\n"

// TestRefused: each mistake costs what stands on its line, is named with that line and a reason that says what to do,
// and the camera below it is still taken.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string // "line key: piece of the reason"
		keep provision.File
	}{
		"unknown key":                  {"hostnmae = \"x\"\nhostname = \"y\"", []string{"1 hostnmae: unknown setting; above the first [section] there is hostname"}, provision.File{Hostname: "y"}},
		"unknown admin key":            {"[admin]\nuser = \"x\"", []string{"2 admin.user: here there are password"}, provision.File{}},
		"capitals":                     {"Hostname = \"x\"", []string{"1 Hostname: lowercase"}, provision.File{}},
		"unknown section":              {"[wifi]\nssid = \"x\"\n=\n[player]\nhostname = \"p\"", []string{"1 wifi: unknown section"}, provision.File{Player: provision.Player{Hostname: "p"}}},
		"single bracket":               {"[camera]\nid = \"x\"", []string{"1 camera: two brackets"}, provision.File{}},
		"double bracket":               {"[[admin]]\npassword = \"x\"", []string{"1 admin: one bracket"}, provision.File{}},
		"section twice":                {"[admin]\npassword = \"0123456789\"\n[admin]\npassword = \"9876543210\"", []string{"3 admin: already on line 1"}, provision.File{AdminPassword: "0123456789"}},
		"broken section":               {"hostname = \"x\"\n[admin\npassword = \"0123456789\"", []string{"2 : this section's first line"}, provision.File{Hostname: "x"}},
		"inline table":                 {"admin = { password = \"0123456789\" }", []string{"1 admin: write it as a section"}, provision.File{}},
		"dotted":                       {"admin.password = \"0123456789\"", nil, provision.File{AdminPassword: "0123456789"}},
		"below the section":            {"[admin]\nhostname = \"x\"", []string{"2 admin.hostname: above the first [section]"}, provision.File{}},
		"above the section":            {"password = \"0123456789\"", []string{"1 password: below a line [admin]"}, provision.File{}},
		"duplicate key":                {"hostname = \"a\"\nhostname = \"b\"", []string{"2 hostname: already set on line 1"}, provision.File{Hostname: "a"}},
		"number":                       {"[admin]\npassword = 1234567890", []string{"2 admin.password: quotes"}, provision.File{}},
		"array":                        {"hostname = [\n\"a\",\n\"b\"]\n[admin]\nuser = true", []string{"1 hostname: quotes", "5 admin.user: unknown"}, provision.File{}},
		"no quotes":                    {"hostname = shop", []string{"1 hostname: quotes"}, provision.File{}},
		"no equals sign":               {"hostname", []string{"1 hostname: name = \"value\""}, provision.File{}},
		"no value":                     {"hostname =", []string{"1 hostname: no value"}, provision.File{}},
		"open quote":                   {"hostname = \"shop\n[player]\nhostname = \"p\"", []string{"1 hostname: closing \""}, provision.File{Player: provision.Player{Hostname: "p"}}},
		"open single quote":            {"hostname = 'shop", []string{"1 hostname: closing '"}, provision.File{}},
		"open triple quote":            {"hostname = \"\"\"shop\n[player]\nhostname = \"p\"", []string{"1 hostname: closing"}, provision.File{Player: provision.Player{Hostname: "p"}}},
		"backslash":                    {"[admin]\npassword = \"C:\\path word\"", []string{"2 admin.password: between '…'"}, provision.File{}},
		"typographic quotes":           {"hostname = “shop”", []string{"1 hostname: plain \""}, provision.File{}},
		"Latin-1":                      {"# K\xfcche\nhostname = \"k\xfcche\"", []string{"2 hostname: UTF-8"}, provision.File{}},
		"control character":            {"[player]\nhostname = \"a\\tb\"", []string{"2 player.hostname: control character"}, provision.File{}},
		"bad hostname":                 {"hostname = \"My Shop\"", []string{"1 hostname: lowercase"}, provision.File{}},
		"short password":               {"[admin]\npassword = \"short\"", []string{"2 admin.password: at least 10"}, provision.File{}},
		"certificate without password": {"[certificate]\npassword = \"\"", []string{"2 certificate.password: leave the line out"}, provision.File{}},
		"server with path":             {"[player]\nserver = \"https://s/x\"", []string{"2 player.server: must end"}, provision.File{}},
		"server with password":         {"[player]\nserver = \"https://a:b@s\"", []string{"2 player.server: must not hold"}, provision.File{}},
		"server without name":          {"[player]\nserver = \"signage\"", []string{"2 player.server: write it like"}, provision.File{}},
		"bad show":                     {"[player]\nshow = \"tv\"\ncamera = \"x\"", []string{"2 player.show: must be \"status\", \"picture\", \"camera\" or \"program\""}, provision.File{Player: provision.Player{Camera: "x"}}},
		"picture in a folder":          {"[player]\npicture = \"../tls/key.pem\"\nshow = \"picture\"", []string{"2 player.picture: without a folder"}, provision.File{Player: provision.Player{Show: "picture"}}},
		"screen's bad camera":          {"[player]\ncamera = \"Front door\"\npicture = \"\"", []string{"2 player.camera: lowercase", "3 player.picture: must not be empty"}, provision.File{}},
		"bad orientation":              {"[player]\norientation = \"up\"\nhostname = \"\"", []string{"2 player.orientation: must be", "3 player.hostname: must not be empty"}, provision.File{}},

		"camera without url":      {"\n[[camera]]\nid = \"a\"", []string{"2 camera.url: is missing; the camera is left out"}, provision.File{}},
		"camera without id":       {"[[camera]]\nurl = \"rtsp://h/s\"", []string{"1 camera.id: is missing"}, provision.File{}},
		"camera with http":        {"[[camera]]\nid = \"a\"\nurl = \"http://h/s\"", []string{"3 camera.url: rtsp://"}, provision.File{}},
		"camera with bad id":      {"[[camera]]\nurl = \"rtsp://h/s\"\nid = \"A b\"", []string{"3 camera.id: lowercase"}, provision.File{}},
		"camera id twice":         {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\n[[camera]]\nid = \"a\"\nurl = \"rtsp://h/2\"", []string{"5 camera.id: already the id of the camera on line 2"}, provision.File{Cameras: []settings.Camera{{ID: "a", Name: "a", URL: "rtsp://h/1", Transport: "auto", Auth: "any"}}}},
		"camera key twice":        {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nurl = \"rtsp://h/2\"", []string{"4 camera.url: already set on line 3"}, provision.File{Cameras: []settings.Camera{{ID: "a", Name: "a", URL: "rtsp://h/1", Transport: "auto", Auth: "any"}}}},
		"camera unknown key":      {"[[camera]]\nid = \"a\"\nfps = 3\nurl = \"rtsp://h/1\"", []string{"3 camera.fps: unknown setting"}, provision.File{Cameras: []settings.Camera{{ID: "a", Name: "a", URL: "rtsp://h/1", Transport: "auto", Auth: "any"}}}},
		"camera number password":  {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nuser = \"u\"\npassword = 1234", []string{"5 camera.password: quotes"}, provision.File{}},
		"camera open password":    {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nuser = \"u\"\npassword = \"1234", []string{"5 camera.password: closing"}, provision.File{}},
		"camera password, nobody": {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\npassword = \"1234\"", []string{"4 camera.password: needs a line with the user"}, provision.File{}},
		"camera bad transport":    {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\ntransport = \"quic\"", []string{"4 camera.transport: must be"}, provision.File{}},
		"camera bad name":         {"[[camera]]\nid = \"a\"\nname = 3\nurl = \"rtsp://h/1\"", []string{"3 camera.name: quotes"}, provision.File{Cameras: []settings.Camera{{ID: "a", Name: "a", URL: "rtsp://h/1", Transport: "auto", Auth: "any"}}}},
		"camera garbage line":     {"[[camera]]\nid = \"a\"\n???\nurl = \"rtsp://h/1\"", []string{"3 : cannot be read"}, provision.File{Cameras: []settings.Camera{{ID: "a", Name: "a", URL: "rtsp://h/1", Transport: "auto", Auth: "any"}}}},
		"camera bad auth":         {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nauth = \"kerberos\"", []string{"4 camera.auth: must be"}, provision.File{}},
		"camera bad url2":         {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nurl2 = \"http://h/2\"", []string{"4 camera.url2: rtsp://"}, provision.File{}},
		"camera bad option":       {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\noptions = \"fast\"", []string{"4 camera.options: drop_audio"}, provision.File{}},
		"camera always, quoted":   {"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/1\"\nalways_on = \"yes\"", []string{"4 camera.always_on: true or false"}, provision.File{}},
		"account single bracket":  {"[account]\nuser = \"a\"", []string{"1 account: two brackets"}, provision.File{}},
		"account without user":    {"[[account]]\npassword = \"12345678\"", []string{"1 account.user: is missing"}, provision.File{}},
		"account short password":  {"[[account]]\nuser = \"a\"\npassword = \"1234567\"", []string{"3 account.password: at least 8"}, provision.File{}},
		"account twice":           {"[[account]]\nuser = \"a\"\n[[account]]\nuser = \"a\"", []string{"4 account.user: on line 2"}, provision.File{Accounts: []provision.Account{{User: "a"}}}},
		"access, not a name":      {"[access]\npublic_name = \"https://x\"\nonly_own_network = true", []string{"2 access.public_name: no DNS name"}, provision.File{Access: provision.Access{OnlyOwnNetwork: new(true)}}},
		"access, quoted":          {"[access]\nonly_own_network = \"true\"\nallowed = \"10.0.0.0/8 ?\"", []string{"2 access.only_own_network: true or false", "3 access.allowed: must be addresses"}, provision.File{}},
		"access, proxies":         {"[access]\ntrusted_proxies = \"10.0.0.1, 10.2.3.4/16\"", nil, provision.File{Access: provision.Access{TrustedProxies: []string{"10.0.0.1", "10.2.0.0/16"}}}},
		"access, any proxy":       {"[access]\ntrusted_proxies = \"0.0.0.0/0\"", []string{"2 access.trusted_proxies: the whole internet"}, provision.File{}},
		"live, quoted":            {"[live]\nper_camera = \"5\"\ntotal = 7", []string{"2 live.per_camera: whole number, without quotes"}, provision.File{Live: provision.Live{Total: 7}}},
		"live, out of bounds":     {"[live]\nper_camera = 0\ntotal = 501\nmax_minutes = 99999\n[[live]]", []string{"2 live.per_camera: 1 to 500", "3 live.total: 1 to 500", "4 live.max_minutes: 0 for never", "5 live: one bracket"}, provision.File{}},
		"live, numbers":           {"[live]\ntotal = 1.5\nmax_minutes = 0x1f", []string{"2 live.total: whole number", "3 live.max_minutes: use 1 to 1440"}, provision.File{}},
		"live, addresses":         {"[live]\npublic_address = \"h:443\"\nstun = \"\"\nturn = \"relay\"\nturn_secret = \"a b\"", []string{"2 live.public_address: without a port", "3 live.stun: must not be empty", "4 live.turn: begin with turn:", "5 live.turn_secret: without spaces"}, provision.File{}},
		"live, dotted":            {"live.turn_secret = \"abc\"", nil, provision.File{Live: provision.Live{TURNSecret: "abc"}}},
		"cameras at the top":      {"cameras = []", []string{"1 cameras: write it as a section"}, provision.File{}},
		"zeros":                   {"\x00\x00\x00", []string{"1 : cannot be read"}, provision.File{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := provision.Parse([]byte(c.in + good))
			if len(problems) != len(c.want) {
				t.Fatalf("problems: %v", problems)
			}
			for i, p := range problems {
				line, rest, _ := strings.Cut(c.want[i], " ")
				key, reason, _ := strings.Cut(rest, ": ")
				if line != string(rune('0'+p.Line)) || p.Key != key || !strings.Contains(p.Reason, reason) {
					t.Errorf("got %d %q: %s\nwant %s", p.Line, p.Key, p.Reason, c.want[i])
				}
			}
			c.keep.Cameras = append(c.keep.Cameras, settings.Camera{ID: "good", Name: "good", URL: "rtsp://h/s", Transport: "auto", Auth: "any"})
			if d := cmp.Diff(c.keep, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTooLong(t *testing.T) {
	in := "hostname = \"shop\"\n" + strings.Repeat("# sixteen bytes.\n", 4096) + "[admin]\npassword = \"0123456789\"\n"
	got, problems := provision.Parse([]byte(in))
	if d := cmp.Diff(provision.File{Hostname: "shop"}, got); d != "" {
		t.Error(d)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Reason, "longer than 64 KiB") || problems[0].Line < 3800 || problems[0].Line > 4098 {
		t.Errorf("problems: %v", problems)
	}
	got, problems = provision.Parse(bytes.Repeat([]byte("x"), provision.MaxSize+1))
	if d := cmp.Diff(provision.File{}, got); d != "" || len(problems) != 1 {
		t.Errorf("one endless line: %v\n%s", problems, d)
	}
}

func TestManyProblems(t *testing.T) {
	_, problems := provision.Parse([]byte(strings.Repeat("x\n", 5000)))
	if len(problems) != 100 || problems[99].Line != 100 || !strings.Contains(problems[99].Reason, "more problems") {
		t.Errorf("got %d problems, the last %v", len(problems), problems[len(problems)-1])
	}
}

// TestNoSecretInProblems: whatever is wrong around a password, no piece of it is in the report.
func TestNoSecretInProblems(t *testing.T) {
	for _, in := range []string{
		"[admin]\npassword hunter2secret",
		"[admin]\npassword = hunter2secret",
		"[admin]\npassword = \"hunter2secret",
		"[admin]\npassword = \"hunter2\\qsecret\"",
		"[admin]\npassword = \"hunter2secret\" hunter2secret",
		"[admin]\npassword = [\"hunter2secret\"]",
		"[[camera]]\nid = \"a\"\nurl = \"rtsp://joe:hunter2/secret@h/s\"",
		"[[camera]]\nid = \"a\"\nurl = \"rtsp://joe:hunter2%zzsecret@h/s\"",
		"[[camera]]\nid = \"a\"\nurl = \"http://joe:hunter2secret@h/s\"",
		"[[account]]\nuser = \"a\"\npassword = hunter2secret",
		"[[camera]]\nid = \"a\"\nurl = \"rtsp://h/s\"\nurl2 = \"http://joe:hunter2secret@h/s\"",
		"[player]\nserver = \"https://joe:hunter2secret@h\"",
		"[player]\nquickconnect_code = \"hunter2\\u0000secret\"",
		"[live]\nturn_secret = \"hunter2 secret\"",
		"[[player]]\nhostname = \"a\"\nquickconnect_code = \"hunter2secret",
		"[[player]]\nhostname = \"a\"\nquickconnect_code = [\"hunter2secret\"]",
		"[live]\nturn = \"turn:joe:hunter2secret@relay.example.org\"",
	} {
		_, problems := provision.Parse([]byte(in))
		if len(problems) != 1 {
			t.Fatalf("%q: %v", in, problems)
		}
		if s := strings.ReplaceAll(problems[0].String(), "turn_secret", ""); strings.Contains(s, "hunter2") || strings.Contains(s, "secret") {
			t.Errorf("%q: %s", in, s)
		}
	}
}

func TestRedact(t *testing.T) {
	broken := "\n[[camera]]\nid = \"late\"\nuser = \"u\"\npassword = \"stays until mended\"\n"
	out, changed := provision.Redact([]byte(full + broken))
	want := `hostname = "shop"

[admin]
# admin.password: taken over  # from the safe

[[camera]]
id = "door"
name = "Tür"
url = "rtsp://192.168.1.20/stream1"
user = "viewer"
# password: taken over
transport = "udp"

[[camera]]
id = "yard"
url = "rtsps://cam.example:322/x?y=1"
url2 = "rtsp://cam.example/small"
url3 = "rtsp://cam.example/tiny"
auth = "digest"
always_on = true
options = "drop_audio, npt_now bandwidth_kbps=50"

[[account]]
user = "kitchen"
# password: taken over

[access]
public_name = "Cams.Example.org"
only_own_network = false
allowed = "203.0.113.7, 198.51.100.0/24 friend.example.org"

[live]
public_address = "https://Cams.Example.org/"
stun = "stun.example.org"
turn = "turn:relay.example.org, turns:relay.example.org:443?transport=tcp"
# live.turn_secret: taken over
per_camera = 20
total = 100
max_minutes = 0

[certificate]
# certificate.password: taken over

[player]
server = "https://signage.example.com:8443/"
hostname = "window"
# player.quickconnect_code: taken over
orientation = "portrait"
show = "camera"
camera = "door"
picture = "Menü 1.png"
` + broken
	if d := cmp.Diff(want, string(out)); d != "" || !changed {
		t.Errorf("changed %v\n%s", changed, d)
	}
	again, changed := provision.Redact(out)
	if changed || !bytes.Equal(again, out) {
		t.Error("a second time there was something to take out")
	}
}

// TestExample: the file on the boot partition says nothing as it is, and what it offers is right.
func TestExample(t *testing.T) {
	b, err := os.ReadFile("../../../overlays/boot/porthole.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got, problems := provision.Parse(b); !cmp.Equal(got, provision.File{}) || problems != nil {
		t.Errorf("the example is not all off: %+v, %v", got, problems)
	}
	on := regexp.MustCompile(`(?m)^#([^ #\n])`).ReplaceAll(b, []byte("$1"))
	// A password in the example would become a password that everybody knows: whoever does not fill it in is told.
	_, problems := provision.Parse(on)
	if len(problems) != 6 || problems[0].Key != "admin.password" || problems[1].Key != "account.password" || problems[2].Key != "certificate.password" ||
		problems[3].Key != "acme.dns_token" || problems[4].Key != "live.turn_secret" || problems[5].Key != "player.quickconnect_code" {
		t.Errorf("with every line on: %v", problems)
	}
	on = bytes.ReplaceAll(on, []byte(`password = ""`), []byte(`password = "my-own-password"`))
	on = bytes.ReplaceAll(on, []byte(`dns_token = ""`), []byte(`dns_token = "my-own-token"`))
	on = bytes.ReplaceAll(on, []byte(`turn_secret = ""`), []byte(`turn_secret = "my-own-secret"`))
	on = bytes.ReplaceAll(on, []byte(`quickconnect_code = ""`), []byte(`quickconnect_code = "my-own-code"`))
	got, problems := provision.Parse(on)
	if problems != nil {
		t.Errorf("with every line on and a password: %v", problems)
	}
	if got.Hostname == "" || got.AdminPassword == "" || len(got.Cameras) != 2 || got.Cameras[0].Password == "" || !got.Cameras[0].AlwaysOn ||
		len(got.Accounts) != 1 || got.Live.PublicAddress == "" || len(got.Live.TURN) != 1 || got.Live.TURNSecret == "" || got.Live.Total == 0 || got.Live.MaxMinutes == nil || got.Access.PublicName == "" || len(got.Access.Allowed) != 2 || len(got.Access.TrustedProxies) != 1 || got.Player.Orientation == "" || got.Player.Show != settings.ShowCamera || got.Player.Camera != got.Cameras[0].ID ||
		len(got.ACME.Names) != 1 || got.ACME.DNS["token"] == "" || !*got.ACME.Agreed || len(got.Screens) != 2 || !got.Screens[0].Own || got.Screens[1].Hostname == "" || got.Screens[1].PlainHTTP == nil {
		t.Errorf("got %+v", got)
	}
}
