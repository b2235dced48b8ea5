package daemon_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"porthole/packages/internal/daemon"
	"porthole/packages/internal/unixsock"
)

const (
	denied = "permission denied"
	bind   = uint64(1) << unix.CAP_NET_BIND_SERVICE
)

// status reads what the kernel says of every thread of a process (proc_pid_status(5)), and checks that all say the same.
func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads of %d: %v, %v", pid, tasks, err)
	}
	var first map[string]string
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // ended meanwhile
		}
		got := map[string]string{}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			switch key {
			case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "PPid":
				got[key] = strings.Join(strings.Fields(value), " ")
			}
		}
		if first == nil {
			first = got
		}
		if d := cmp.Diff(first, got); d != "" {
			t.Errorf("%s differs from another thread: %s", task, d)
		}
	}
	return first
}

// TestGivesUpRoot: every process is its own user, with no more than it says it needs, in every thread.
func TestGivesUpRoot(t *testing.T) {
	d := newDevice(t)
	for _, c := range []struct {
		name   string
		uid    int
		needs  daemon.Needs
		groups string
		caps   uint64
	}{
		{"proxy", 2001, daemon.Needs{Certificates: true, LowPorts: true}, "2100", bind},
		{"signaling", 2002, daemon.Needs{Certificates: true, LowPorts: true}, "2100", bind},
		{"player", 2003, daemon.Needs{Video: true, State: true}, "2101", 0},
		{"console", 2004, daemon.Needs{Certificates: true, State: true}, "2100", 0},
		{"network", 2005, daemon.Needs{}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := d.start(t, c.name, c.needs)
			id := strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", c.uid), 4))
			caps := fmt.Sprintf("%016x", c.caps)
			want := map[string]string{
				"Uid": id, "Gid": id, "Groups": c.groups, "CapInh": caps, "CapPrm": caps, "CapEff": caps, "CapAmb": caps,
				"CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2", "PPid": fmt.Sprint(os.Getpid()),
			}
			if diff := cmp.Diff(want, status(t, p.cmd.Process.Pid)); diff != "" {
				t.Errorf("the kernel says (-want +got):\n%s", diff)
			}
			p.mayNot("operation not permitted", "call setuid", "call unshare", "call namespaced child", "call ptrace", "call reboot")
			p.mayNot("address family not supported", "family alg", "family packet")
			p.may("family netlink", "home "+d.path("run", c.name), "write "+d.path("run", c.name, "settings.json"))
			for _, say := range []string{"gave up", fmt.Sprintf("user=%d", c.uid), "no_new_privs=true", "seccomp=true", "landlock_abi="} {
				if !strings.Contains(p.said(), say) {
					t.Errorf("the log does not say %q: %s", say, p.said())
				}
			}
			// Memory, which holds keys, is out of the reach of others of the same user.
			st, err := os.Stat(fmt.Sprintf("/proc/%d/mem", p.cmd.Process.Pid))
			if err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 {
				t.Errorf("its memory can be read: %+v, %v", st, err)
			}
		})
	}
}

// TestRootKeepsLittle: system stays root, but cannot do what it never does.
func TestRootKeepsLittle(t *testing.T) {
	d := newDevice(t)
	p := d.start(t, "system", daemon.Needs{Root: true, RootCapabilities: []int{unix.CAP_CHOWN, unix.CAP_SYS_BOOT}})
	caps := fmt.Sprintf("%016x", 1<<unix.CAP_CHOWN|1<<unix.CAP_SYS_BOOT)
	got := status(t, p.cmd.Process.Pid)
	for key, want := range map[string]string{"Uid": "0 0 0 0", "CapEff": caps, "CapPrm": caps, "CapBnd": caps, "NoNewPrivs": "1"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	p.mayNot("operation not permitted", "call chroot", "call mount")
	p.may("read /proc/self/status")
}

// TestSecretsOfOthers opens what each process must and must not be able to.
func TestSecretsOfOthers(t *testing.T) {
	d := newDevice(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	proxy := d.start(t, "proxy", daemon.Needs{
		Certificates: true, LowPorts: true, ListenTCP: []string{"127.0.0.9:443", "127.0.0.9:0", ""}, ConnectAnywhere: true, Sockets: []string{"console"},
	})
	player := d.start(t, "player", daemon.Needs{Video: true, State: true, ListenTCP: []string{"127.0.0.9:444"}, Read: []string{d.path("lent")}})
	console := d.start(t, "console", daemon.Needs{Certificates: true, State: true})

	// The key is published after the processes have started, as on a first boot.
	for file, f := range map[string]struct {
		mode     os.FileMode
		uid, gid int
	}{
		"perm/tls/device/privkey.pem": {0o640, 0, unixsock.GIDCerts},
		"perm/console/porthole.db":    {0o600, unixsock.UIDConsole, unixsock.UIDConsole},
		"open to all":                 {0o644, 0, 0},
		"run/proxy/settings.json":     {0o600, unixsock.UIDProxy, unixsock.UIDProxy},
	} {
		path := d.path(file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("secret"), f.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, f.uid, f.gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(d.path("open to all"), d.path("open")); err != nil {
		t.Fatal(err)
	}
	key, db, open, settings := d.path("perm/tls/device/privkey.pem"), d.path("perm/console/porthole.db"), d.path("open"), d.path("run/proxy/settings.json")

	proxy.may("read "+key, "read "+settings, "write "+settings, "read /etc/passwd", "bind 127.0.0.9:443", "bind 127.0.0.9:0", "connect "+listener.Addr().String())
	proxy.mayNot(denied, "read "+db, "write "+key, "remove "+key, "bind 127.0.0.9:445")
	console.may("read "+key, "read "+db, "write "+d.path("perm/console/new"), "rename "+d.path("perm/console/new")+" "+d.path("run/console/old"))
	console.mayNot(denied, "read "+settings, "bind 127.0.0.9:444", "connect "+listener.Addr().String())
	player.may("write "+d.path("perm/player/cached"), "remove "+d.path("perm/player/cached"), "list /dev", "write /dev/null", "read /dev/null")
	player.mayNot(denied, "read "+key, "read "+db, "read "+settings, "bind 127.0.0.9:444")
	proxy.mayNot(denied, "write "+d.path("run/console/x"))
	console.mayNot(denied, "write "+d.path("run/proxy/x"))
	for _, p := range []*prober{proxy, console, player} {
		// Landlock: modes would allow these.
		p.mayNot(denied, "read "+open, "list /", "read /proc/1/cmdline", "execute /bin/true", "execute "+d.program)
		// Nobody takes another's place: neither its socket's name nor its folder.
		p.mayNot(denied, "write "+d.path("run/system.sock"), "rename "+d.path("run/proxy")+" "+d.path("run/x"))
	}
}

// TestSocketsOfOthers: another process's socket can be reached in a folder that cannot be looked into.
func TestSocketsOfOthers(t *testing.T) {
	d := newDevice(t)
	proxy := d.start(t, "proxy", daemon.Needs{Sockets: []string{"console", "console-internal"}})
	l, err := unixsock.Listen(unixsock.Path(d.path("run"), "console"), unixsock.Allow(false, "proxy"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	proxy.may("unix " + d.path("run/console/console.sock"))
	proxy.mayNot(denied, "list "+d.path("run/console"))
}

// TestStartsItself: player's decoder is player's own program first, started as /proc/self/exe, although memory is out of
// reach.
func TestStartsItself(t *testing.T) {
	d := newDevice(t)
	// A race-enabled program has libraries.
	p := d.start(t, "player", daemon.Needs{Execute: []string{d.program, "/lib", "/lib64", "/usr/lib"}})
	p.may("execute /proc/self/exe")
	p.mayNot(denied, "execute /bin/true")
}

// TestReadOnlyStorage: a device whose storage is gone starts all the same.
func TestReadOnlyStorage(t *testing.T) {
	d := newDevice(t)
	if err := os.WriteFile(d.path("perm"), nil, 0o644); err != nil { // no folder can be made in it
		t.Fatal(err)
	}
	p := d.start(t, "player", daemon.Needs{State: true})
	p.mayNot("not a directory", "write "+d.path("perm/player/x"))
	if !strings.Contains(p.said(), "going on without") || !strings.Contains(p.said(), d.path("perm/player")) {
		t.Errorf("the log does not say what is missing: %s", p.said())
	}
}

// TestLinkIsNotFollowed: a link that somebody put in a folder's place gives nothing away.
func TestLinkIsNotFollowed(t *testing.T) {
	d := newDevice(t)
	if err := os.MkdirAll(d.path("treasure"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.path("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(d.path("treasure"), d.path("run/player")); err != nil {
		t.Fatal(err)
	}
	d.start(t, "player", daemon.Needs{})
	st, err := os.Stat(d.path("treasure"))
	if err != nil || st.Mode().Perm() != 0o700 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("what the link leads to changed hands: %v, %v", st.Mode(), err)
	}
}
