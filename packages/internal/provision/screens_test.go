package provision_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

const screens = `[[player]]
own = true
name = "Till"
group = "Inside"
playlist = "Menu"
orientation = "portrait"
show = "camera"
camera = "door"
server = "https://signage.example.com"
hostname = "shop-till"
quickconnect_code = "theirs"
timeout = 5
log = true
hours = "mon-fri 08:00-20:00"

[[player]]
hostname = "tv-window"
name = "Window"
quickconnect_code = "ABC123XYZ"
group = "Street"
playlist = "Offers"
orientation = "landscape-flipped"
plain_http = true

[[player]]
hostname = "TV 3"
`

// TestScreens: the players of this device's own server, and its own screen among them.
func TestScreens(t *testing.T) {
	got, problems := provision.Parse([]byte(screens))
	want := provision.File{
		Player: provision.Player{
			Show: settings.ShowCamera, Camera: "door", Server: "https://signage.example.com", Hostname: "shop-till", QuickConnectCode: "theirs", Orientation: "portrait",
			Timeout: 5, Log: new(true), Hours: []settings.Hours{{Weekdays: 31, FromMinute: 480, ToMinute: 1200}},
		},
		Screens: []provision.Screen{
			{Own: true, Name: "Till", Group: "Inside", Playlist: "Menu", Orientation: "portrait"},
			{Hostname: "tv-window", Name: "Window", QuickConnectCode: "ABC123XYZ", Group: "Street", Playlist: "Offers", Orientation: "landscape-flipped", PlainHTTP: new(true)},
			{Hostname: "TV 3"},
		},
	}
	if d := cmp.Diff(want, got); d != "" || problems != nil {
		t.Errorf("%v\n%s", problems, d)
	}
	out, changed := provision.Redact([]byte(screens))
	left := strings.NewReplacer(`quickconnect_code = "theirs"`, "# quickconnect_code: taken over", `quickconnect_code = "ABC123XYZ"`, "# quickconnect_code: taken over").Replace(screens)
	if d := cmp.Diff(left, string(out)); d != "" || !changed {
		t.Errorf("redacted: %v\n%s", changed, d)
	}
}

// TestScreensRefused: each mistake costs its player, and the one below it is taken.
func TestScreensRefused(t *testing.T) {
	tv := provision.File{Screens: []provision.Screen{{Hostname: "tv"}}}
	for name, c := range map[string]struct{ in, want string }{
		"no hostname":     {"[[player]]\nname = \"x\"", "line 1: player.hostname: is missing; the player is left out"},
		"empty hostname":  {"[[player]]\nhostname = \" \"", "line 2: player.hostname: is missing; the player is left out"},
		"short code":      {"[[player]]\nhostname = \"x\"\nquickconnect_code = \"abc\"", "line 3: player.quickconnect_code: use 6 to 200 characters; the player is left out"},
		"a picture":       {"[[player]]\nhostname = \"x\"\nshow = \"camera\"", "line 3: player.show: is for this device's own screen, which has a line own = true; the player is left out"},
		"orientation":     {"[[player]]\nhostname = \"x\"\norientation = \"up\"", `line 3: player.orientation: must be "landscape", "portrait", "landscape-flipped" or "portrait-flipped"; the player is left out`},
		"empty group":     {"[[player]]\nhostname = \"x\"\ngroup = \"\"", "line 3: player.group: use 1 to 100 bytes; the player is left out"},
		"quoted switch":   {"[[player]]\nhostname = \"x\"\nplain_http = \"no\"", "line 3: player.plain_http: must be true or false, without quotes; the player is left out"},
		"own and http":    {"[[player]]\nown = true\nplain_http = true", "line 3: player.plain_http: is for other players; the own screen needs no network to reach its server; the player is left out"},
		"own, bad camera": {"[[player]]\nown = true\ncamera = \"A B\"", "line 3: player.camera: use 1 to 32 lowercase letters, digits and hyphens, with a letter or digit at both ends (\"t\" and \"probe-\" are taken); the player is left out"},
		"unknown key":     {"[[player]]\nid = \"x\"\nhostname = \"tv0\"", "line 2: player.id: unknown setting; here there are own, hostname, quickconnect_code, name, group, playlist, orientation, plain_http, show, picture, camera, server, timeout, retry_attempts, retry_delay, trust, pin, mode, hours, off, log"},
		"key twice":       {"[[player]]\nhostname = \"tv0\"\nhostname = \"x\"", "line 3: player.hostname: is already set on line 2; this line is left out"},
	} {
		got, problems := provision.Parse([]byte(c.in + "\n[[player]]\nhostname = \"tv\"\n"))
		keep := tv
		if name == "unknown key" || name == "key twice" {
			keep.Screens = []provision.Screen{{Hostname: "tv0"}, {Hostname: "tv"}}
		}
		if len(problems) != 1 || problems[0].String() != c.want {
			t.Errorf("%s: %v", name, problems)
		}
		if d := cmp.Diff(keep, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	got, problems := provision.Parse([]byte("[[player]]\nown = true\nname = 3\n[[player]]\nown = true\n[[player]]\nhostname = \"tv\"\n[[player]]\nhostname = \"tv\"\n"))
	if d := cmp.Diff(provision.File{Screens: []provision.Screen{{Own: true}, {Hostname: "tv"}}}, got); d != "" || len(problems) != 3 ||
		problems[0].Line != 3 || !strings.Contains(problems[1].Reason, "one screen, which is on line 1") || !strings.Contains(problems[2].Reason, "player on line 7") {
		t.Errorf("%v\n%s", problems, d)
	}
}

// TestOneFormOfPlayer: TOML has a table or an array of tables of one name; whichever comes first counts.
func TestOneFormOfPlayer(t *testing.T) {
	for in, want := range map[string]string{
		"[player]\nshow = \"status\"\n[[player]]\nhostname = \"tv\"\n": "line 3: player: a file has either [player] or [[player]]: write what stands on line 1 and below as a [[player]] with own = true; this player is left out",
		"player.show = \"status\"\n[[player]]\nhostname = \"tv\"\n":    "line 2: player: a file has either [player] or [[player]]: write what stands on line 1 and below as a [[player]] with own = true; this player is left out",
	} {
		got, problems := provision.Parse([]byte(in))
		if d := cmp.Diff(provision.File{Player: provision.Player{Show: "status"}}, got); d != "" || len(problems) != 1 || problems[0].String() != want {
			t.Errorf("%q: %v\n%s", in, problems, d)
		}
	}
	got, problems := provision.Parse([]byte("[[player]]\nhostname = \"tv\"\n[player]\nshow = \"status\"\n"))
	if d := cmp.Diff(provision.File{Screens: []provision.Screen{{Hostname: "tv"}}}, got); d != "" || len(problems) != 1 || problems[0].Line != 3 || !strings.Contains(problems[0].Reason, "own = true; these lines are left out") {
		t.Errorf("%v\n%s", problems, d)
	}
}
