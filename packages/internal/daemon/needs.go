package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/privileges"
	"porthole/packages/internal/unixsock"
)

// Needs is what a process keeps when it gives up root. What all processes have goes without saying: their own folder in
// RunDir, where they listen on their own sockets, and what the Go library reads of the system (/etc, time zones).
type Needs struct {
	// Certificates lets it read private keys and chains in PermDir/tls.
	Certificates bool
	// Video lets it use the devices below /dev that system handed to group video: screen, CEC, sound.
	Video bool
	// State gives it a folder of its own in PermDir.
	State bool
	// Names lets it look up host names (the file with name servers lies in /tmp on gokrazy).
	Names bool
	// Sockets are the sockets of other processes that it connects to.
	Sockets []string
	// ListenTCP are the addresses it listens on (empty ones are passed over); LowPorts lets it use ports below 1024,
	// UDP's too.
	ListenTCP []string
	LowPorts  bool
	// ConnectTCP are the ports it connects to on other machines, unless it ConnectAnywhere.
	ConnectTCP      []uint16
	ConnectAnywhere bool
	// Read are further files and folders that it reads, Execute programs that it starts.
	Read, Execute []string
	// Root keeps it root, held back by RootCapabilities (unix.CAP_…) only.
	Root             bool
	RootCapabilities []int
}

// runDirMode lets others pass through to a process's sockets, but not look around.
const runDirMode = 0o711

// plan says in the kernel's words what the process needs.
func (p Process) plan(e Env) (privileges.Plan, error) {
	var n Needs
	if p.Needs != nil {
		n = p.Needs(e)
	}
	uid, ok := unixsock.UID(p.Name)
	if !ok {
		return privileges.Plan{}, fmt.Errorf("there is no user for process %q", p.Name)
	}
	own := e.StateDir()
	plan := privileges.Plan{UID: uid, Environ: environ(own), Folders: []privileges.Folder{{Path: own, UID: uid, GID: uid, Mode: runDirMode}}}
	if n.Root {
		plan.Capabilities = n.RootCapabilities
		return plan, nil
	}
	f := &privileges.Files{
		Read: append([]string{"/etc", "/usr/share/zoneinfo"}, n.Read...), Write: []string{own}, Execute: n.Execute,
		Devices: []string{"/dev/null"}, Sockets: []string{own}, ConnectTCP: n.ConnectTCP, ConnectAnywhere: n.ConnectAnywhere,
	}
	plan.Files = f
	if n.LowPorts {
		plan.Capabilities = []int{unix.CAP_NET_BIND_SERVICE}
	}
	if n.Certificates {
		dir := filepath.Join(e.PermDir, "tls")
		plan.Groups = append(plan.Groups, unixsock.GIDCerts)
		plan.Folders = append(plan.Folders, privileges.Folder{Path: dir, UID: 0, GID: unixsock.GIDCerts, Mode: 0o750})
		f.Read = append(f.Read, dir)
	}
	if n.Video {
		plan.Groups = append(plan.Groups, unixsock.GIDVideo)
		// All of it: a device may come after this process has started. Owners and modes keep the others out of reach.
		f.Devices = append(f.Devices, "/dev")
	}
	if n.State {
		dir := filepath.Join(e.PermDir, p.Name)
		plan.Folders = append(plan.Folders, privileges.Folder{Path: dir, UID: uid, GID: uid, Mode: 0o700})
		f.Write = append(f.Write, dir)
	}
	if n.Names {
		f.Read = append(f.Read, "/tmp")
	}
	for _, s := range n.Sockets {
		owner := unixsock.Owner(s)
		peer, ok := unixsock.UID(owner)
		if !ok {
			return plan, fmt.Errorf("there is no process that serves socket %q", s)
		}
		dir := filepath.Join(e.RunDir, owner)
		if slices.Contains(f.Sockets, dir) {
			continue
		}
		plan.Folders = append(plan.Folders, privileges.Folder{Path: dir, UID: peer, GID: peer, Mode: runDirMode})
		f.Sockets = append(f.Sockets, dir)
	}
	var err error
	f.BindTCP, err = ports(n.ListenTCP)
	return plan, err
}

func ports(addrs []string) ([]uint16, error) {
	var list []uint16
	for _, addr := range addrs {
		if addr == "" {
			continue
		}
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("understand address %q: %w", addr, err)
		}
		list = append(list, uint16(a.Port))
	}
	return list, nil
}

// environ leads what keeps files in its home or in /tmp, such as a database that sorts, to the process's own folder.
func environ(own string) []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "HOME=") || strings.HasPrefix(s, "TMPDIR=")
	})
	return append(env, "HOME="+own, "TMPDIR="+own)
}

// giveUp makes the process its own user, which starts it anew, and then keeps it out of what it does not need. It logs
// what is left.
func (p Process) giveUp(e Env) error {
	plan, err := p.plan(e)
	if err != nil {
		return err
	}
	if plan.Pending() {
		return plan.Drop(func(err error) { e.Log.Warn("going on without something", "err", err) })
	}
	landlock, err := plan.Confine()
	attrs := []any{"landlock_abi", landlock.ABI}
	switch {
	case errors.Is(err, privileges.ErrNoLandlock):
		e.Log.Warn("any file that modes allow stays within reach", "err", err)
	case err != nil:
		// Its own user still keeps it from everybody else's files; a device that does not start helps nobody.
		e.Log.Error("any file that modes allow stays within reach", "err", err)
	case plan.Files != nil:
		f := plan.Files
		attrs = append(attrs, "read", f.Read, "write", f.Write, "execute", f.Execute, "devices", f.Devices, "sockets", f.Sockets,
			"absent", landlock.Absent, "bind_tcp", f.BindTCP)
		if f.ConnectAnywhere {
			attrs = append(attrs, "connect_tcp", "any")
		} else {
			attrs = append(attrs, "connect_tcp", f.ConnectTCP)
		}
	}
	s, err := privileges.Now()
	if err != nil {
		return err
	}
	e.Log.Info("gave up all privileges but these", append([]any{
		"user", s.UID, "group", s.GID, "groups", s.Groups, "capabilities", s.Capabilities, "no_new_privs", s.NoNewPrivs,
		"seccomp", s.Filtered,
	}, attrs...)...)
	return nil
}
