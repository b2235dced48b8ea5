package vm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// identity is what the kernel says of a process (proc_pid_status(5)).
type identity struct{ uid, gid, groups, caps, bounds, noNewPrivs, seccomp string }

// identities are those of docs/architecture.md.
var identities = map[string]identity{
	"system":    {"0 0 0 0", "0 0 0 0", "", "000000000060000b", "000000000060000b", "1", "0"},
	"proxy":     dropped(2001, 2100, "0000000000000400"),
	"signaling": dropped(2002, 2100, "0000000000000400"),
	"player":    dropped(2003, 2101, "0000000000000000"),
	"console":   dropped(2004, 2100, "0000000000000000"),
}

func dropped(uid, group int, caps string) identity {
	ids := strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", uid), 4))
	return identity{ids, ids, fmt.Sprint(group), caps, "0000000000000000", "1", "2"}
}

// checkUsers: every process is its own user with no more than it needs, the secrets of the others are out of its reach, and
// none runs into what it has given up. c is logged in to the console at the given address.
func checkUsers(t *testing.T, a vm.Agent, c *http.Client, at string) {
	t.Helper()
	list, err := a.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range list {
		want, ours := identities[p.Name]
		if !ours {
			continue
		}
		checked++
		text, err := a.ReadFile(t.Context(), fmt.Sprintf("/proc/%d/status", p.PID))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := identityOf(text); got != want {
			t.Errorf("%s is %+v, want %+v", p.Name, got, want)
		}
		log, err := open(t.Context(), c, http.MethodGet, at+"/logs/"+p.Name, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		for line := range strings.SplitSeq(log, "</p>") {
			if strings.Contains(line, "player may not use the screen yet") {
				// Until system has handed it over: docs/architecture.md, Devices.
				continue
			}
			if strings.Contains(line, "permission denied") || strings.Contains(line, "not permitted") {
				t.Errorf("%s: %s", p.Name, strings.TrimSpace(line))
			}
		}
	}
	if checked < 4 {
		t.Errorf("only %d of our processes run", checked)
	}
	checkSecrets(t, a)
}

// gaveUp: a process that has just started says that it gave up all but what it needs, by Landlock too. A device keeps the last
// hundred lines of each process.
func gaveUp(t *testing.T, c *http.Client, at, name string) {
	t.Helper()
	eventually(t, name+" says what it gave up", func(ctx context.Context) error {
		log, err := open(ctx, c, http.MethodGet, at+"/logs/"+name, nil)
		if err == nil && (!strings.Contains(log, "gave up all privileges but these") || strings.Contains(log, "landlock_abi=0")) {
			err = fmt.Errorf("its log is\n%s", log)
		}
		return err
	})
}

func identityOf(status string) identity {
	field := map[string]string{}
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		field[key] = strings.Join(strings.Fields(value), " ")
	}
	return identity{field["Uid"], field["Gid"], field["Groups"], field["CapEff"], field["CapBnd"], field["NoNewPrivs"], field["Seccomp"]}
}

// checkSecrets opens what each user may and may not.
func checkSecrets(t *testing.T, a vm.Agent) {
	t.Helper()
	const proxy, signaling, player, console, certs, video = 2001, 2002, 2003, 2004, 2100, 2101
	groups := map[int][]int{proxy: {certs}, signaling: {certs}, player: {video}, console: {certs}}
	eventually(t, "the RSA key is made, which takes its time", func(ctx context.Context) error {
		_, err := a.ReadFile(ctx, "/perm/tls/device-rsa/fullchain.pem")
		return err
	})
	for path, allowed := range map[string][]int{
		"/perm/tls/device/privkey.pem":      {proxy, signaling, console},
		"/perm/tls/device-rsa/privkey.pem":  {proxy, signaling, console},
		"/perm/tls/device-rsa":              {proxy, signaling, console},
		"/perm/console/porthole.db":         {console},
		"/perm/system/ca/ca.pem":            {},
		"/perm/system/certificates.log":     {},
		"/run/porthole/proxy/settings.json": {proxy},
		"/boot/porthole.toml":               {},
		"/dev/dri/card0":                    {player},
	} {
		may := map[int]bool{}
		for _, uid := range allowed {
			may[uid] = true
		}
		for uid, g := range groups {
			if got, err := a.MayOpen(t.Context(), uid, g, path); err != nil || got != may[uid] {
				t.Errorf("user %d may open %s: %v, %v", uid, path, got, err)
			}
		}
	}
	eventually(t, "the secrets leave porthole.toml", func(ctx context.Context) error {
		text, err := a.ReadFile(ctx, "/boot/porthole.toml")
		if err == nil && (strings.Contains(text, password) || !strings.Contains(text, "[admin]")) {
			err = fmt.Errorf("it is still %q", text)
		}
		return err
	})
	heartBeats(t, a)
}

// heartBeats waits until system has given a sign of life, and another.
func heartBeats(t *testing.T, a vm.Agent) {
	t.Helper()
	var first string
	eventually(t, "the heart beats", func(ctx context.Context) (err error) {
		first, err = a.ReadFile(ctx, "/run/porthole/system/heartbeat")
		return err
	})
	eventually(t, "the heart goes on beating", func(ctx context.Context) error {
		now, err := a.ReadFile(ctx, "/run/porthole/system/heartbeat")
		if err == nil && now == first {
			err = errors.New("still the same")
		}
		return err
	})
}

// checkRunDir: each process has a folder of its own below /run/porthole that another one's user cannot enter.
func checkRunDir(t *testing.T, a vm.Agent) {
	t.Helper()
	for name, uid := range map[string]int{"proxy": 2001, "signaling": 2002, "console": 2004} {
		dir := "/run/porthole/" + name
		if may, err := a.MayOpen(t.Context(), uid, nil, dir); err != nil || !may {
			t.Errorf("%s may not enter %s: %v", name, dir, err)
		}
		if may, err := a.MayOpen(t.Context(), 2003, nil, dir); err != nil || may {
			t.Errorf("another user may enter %s: %v", dir, err)
		}
	}
}
