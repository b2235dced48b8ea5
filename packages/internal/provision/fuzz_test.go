package provision_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

func second[A, B any](_ A, b B) B { return b }

// FuzzParse: whatever the file holds, what is taken is valid, problems name lines that exist, and after Redact the
// same file asks for the same things without secrets.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		full, strings.ReplaceAll(full, "\n", "\r\n"), "\ufeffhostname = \"x\"", toUTF16("hostname = \"x\"\r\n", false), good,
		"[admin\npassword = \"\"\"\n", "a.b.c = [{x=1},\n2]\n", "\"\" = ''", "\xff\xfe\x00", "hostname='''\nx'''", "\f", "[[camera]]\nid='a'\nid='b'\n[camera]\n[[camera]]",
		"[[account]]\nuser='a'\npassword='12345678'\npassword='87654321'\n[access]\nallowed='::1 a.b'\nonly_own_network=true\n[[account]]",
		"[[camera]]\nid='a'\nurl='rtsp://u:p@h'\nurl2='rtsp://x:y@h/2'\nurl3='rtsp://h@h:1/@'\nalways_on=true\noptions='npt_now,bandwidth_kbps=7'",
		"[live]\nturn='turn:a turns:[::1]:5'\nturn_secret='s'\nturn_secret='t'\ntotal=1_0\nper_camera=+5\nmax_minutes=0\npublic_address='[::ffff:1.2.3.4]'\nstun='a:1'", "live.stun='x'\nlive.total=9999999999999999999\n[live]\nturn=''",
		screens, "player.show='camera'\n[[player]]\nown=true\n[player]\n", "[[player]]\nown=true\nquickconnect_code='a'\nquickconnect_code='b'\nname=3\n[[player]]\nown=true",
		"[[player]]\nhostname='a'\nquickconnect_code='123456'\nquickconnect_code='654321'\nplain_http=true\n[[player]]\nhostname='a'\n[player]\nshow='camera'",
		acmeFile, "[acme]\nnames=' '\nroot=\"\"\"\n-----\"\"\"\ndns_key='a'\ndns_key='b'\nstaging=1\nproof='x'\n[acme]\nacme.rsa=true", "acme.dns_token = 'x'\nacme.dns_server='y'",
		playerFile, "[player]\npin='''\n-----BEGIN\n'''\nhours='0:00-0:00'\nlog=true\ntimeout=0x5\nretry_delay=-1\n", "[[player]]\nown=true\ntrust='pinned'\nmode='800x600'\noff='black'",
		"[[camera]]\nid='a'\nurl='rtsp://u:p@h'\npassword='q'\nuser=''\n", "admin.password = '0123456789' #\n[admin]\npassword='0123456789'",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > provision.MaxSize/2 {
			return // Redact may bring lines beyond the bound into it
		}
		got, problems := provision.Parse(b)
		lines := 1 + strings.Count(string(b), "\n")
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Reason == "" {
				t.Errorf("problem %+v in a file of %d lines", p, lines)
			}
		}
		if got.Hostname != "" && settings.CheckHostname(got.Hostname) != nil {
			t.Errorf("hostname %q taken", got.Hostname)
		}
		ids := map[string]bool{}
		for _, c := range got.Cameras {
			n, err := c.Normalize()
			if err != nil || !cmp.Equal(n, c) {
				t.Errorf("camera %+v taken, normalizes to %+v, %v", c, n, err)
			}
			if ids[c.ID] {
				t.Errorf("two cameras %q", c.ID)
			}
			ids[c.ID] = true
		}
		out, _ := provision.Redact(b)
		left, _ := provision.Parse(out)
		for i := range got.Cameras {
			// The user stays when it had a line of its own.
			if i < len(left.Cameras) && left.Cameras[i].User == "" {
				got.Cameras[i].User = ""
			}
			got.Cameras[i].Password = ""
		}
		for i := range got.Accounts {
			got.Accounts[i].Password = ""
		}
		hostnames := map[string]bool{}
		for i, s := range got.Screens {
			if hostnames[s.Hostname] || (s.Hostname == "") != s.Own || s.Own && s.QuickConnectCode != "" {
				t.Errorf("player %+v taken", s)
			}
			hostnames[s.Hostname] = true
			got.Screens[i].QuickConnectCode = ""
		}
		var live settings.Live
		got.Live.Apply(&live)
		for _, wrong := range second(live.Normalize()) {
			if wrong.Field != "turn_secret" || len(got.Live.TURN) == 0 || got.Live.TURNSecret != "" {
				t.Errorf("live view %+v taken: %v", got.Live, wrong)
			}
		}
		p := got.Player
		own := settings.PlayerSettings{
			Show: p.Show, Picture: p.Picture, Camera: p.Camera, Server: p.Server, Hostname: p.Hostname, QuickConnectCode: p.QuickConnectCode, Orientation: p.Orientation,
			Timeout: p.Timeout, RetryAttempts: p.RetryAttempts, RetryDelay: p.RetryDelay, Trust: p.Trust, Pin: p.Pin, Mode: p.Mode, Hours: p.Hours, Off: p.Off,
		}
		if n, wrong := own.Normalize(); !cmp.Equal(own, n) || len(wrong) > 0 && (len(wrong) > 1 || wrong[0].Field != "trust") {
			t.Errorf("player %+v taken: %v", own, wrong)
		}
		got.AdminPassword, got.CertificatePassword, got.Player.QuickConnectCode, got.Live.TURNSecret = "", "", "", ""
		got.ACME.EABMAC = ""
		for _, key := range []string{"key", "password", "api_token", "token"} {
			delete(got.ACME.DNS, key)
		}
		if len(got.ACME.DNS) == 0 {
			got.ACME.DNS = nil
		}
		if d := cmp.Diff(got, left); d != "" {
			t.Errorf("after Redact (-before +after):\n%s\n%s", d, out)
		}
	})
}
