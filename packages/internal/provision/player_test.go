package provision_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// playerFile is a [player] with everything that it may have.
const playerFile = `[player]
show = "program"
server = "https://Signage.example.com/"
hostname = "tv-1"
quickconnect_code = "ABC123XYZ"
orientation = "portrait-flipped"
timeout = 10
retry_attempts = 3
retry_delay = 5
trust = "pinned"
pin = '''
-----BEGIN CERTIFICATE-----
MIIBETCBuaADAgECAgEBMAoGCCqGSM49BAMCMAAwIBgPMDAwMTAxMDEwMDAwMDBa
Fw0zNjExMTgyMzE5MDBaMAAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASL
-----END CERTIFICATE-----
'''
mode = "1920x1080@50"
hours = "mon-sat 07:30-22:00; sun 09:00-20:00"
off = "black"
log = false
`

const playerPin = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99"

// TestPlayer: all keys of [player]; the certificate is cut on purpose, a fingerprint in its place is taken.
func TestPlayer(t *testing.T) {
	got, problems := provision.Parse([]byte(playerFile))
	want := provision.Player{
		Show: settings.ShowProgram, Server: "https://signage.example.com", Hostname: "tv-1", QuickConnectCode: "ABC123XYZ", Orientation: "portrait-flipped",
		Timeout: 10, RetryAttempts: 3, RetryDelay: 5, Trust: settings.TrustPinned, Mode: "1920x1080@50",
		Hours: []settings.Hours{{Weekdays: 63, FromMinute: 450, ToMinute: 1320}, {Weekdays: 64, FromMinute: 540, ToMinute: 1200}},
		Off:   settings.OffBlack, Log: new(false),
	}
	if d := cmp.Diff(want, got.Player); d != "" {
		t.Error(d)
	}
	if len(problems) != 1 || problems[0].Key != "player.pin" || problems[0].Line != 11 || !strings.Contains(problems[0].Reason, "copy it once more") {
		t.Errorf("problems: %v", problems)
	}
	before, rest, _ := strings.Cut(playerFile, "'''")
	_, after, _ := strings.Cut(rest, "'''")
	got, problems = provision.Parse([]byte(before + `"` + strings.ToLower(playerPin) + `"` + after))
	want.Pin = playerPin
	if d := cmp.Diff(want, got.Player); d != "" || problems != nil {
		t.Errorf("%v\n%s", problems, d)
	}
}

func TestPlayerRefused(t *testing.T) {
	for line, want := range map[string]string{
		`timeout = "10"`:       "must be a whole number, without quotes",
		`timeout = 0`:          "use 1 to 300",
		`retry_attempts = 101`: "use 1 to 100",
		`retry_delay = 99999`:  "use 1 to 3600",
		`trust = "none"`:       `must be "first", "public" or "pinned"`,
		`trust = ""`:           "must not be empty; put a # in front of the line to leave it off",
		`mode = "1080p"`:       `is no mode; write it like "1920x1080@60" or "1920x1080"`,
		`hours = "always"`:     `has no time where one is needed; write it like "mon-fri 08:00-20:00; sat 10:00-16:00"`,
		`off = "cec"`:          `must be "signal" or "black"`,
		`log = "on"`:           "must be true or false, without quotes",
		`pin = "12"`:           "is neither a SHA-256 fingerprint (64 digits 0 to 9 and a to f, with or without colons) nor a certificate in PEM (-----BEGIN CERTIFICATE-----)",
	} {
		got, problems := provision.Parse([]byte("[player]\n" + line + "\nhostname = \"tv\"\n"))
		key, _, _ := strings.Cut(line, " ")
		if d := cmp.Diff([]provision.Problem{{Line: 2, Key: "player." + key, Reason: want}}, problems); d != "" {
			t.Errorf("%s:\n%s", line, d)
		}
		if d := cmp.Diff(provision.Player{Hostname: "tv"}, got.Player); d != "" {
			t.Errorf("%s:\n%s", line, d)
		}
	}
}
