// Package devperm hands the device nodes of screen, CEC and sound to a group. The kernel makes them for root alone
// (devtmpfs), and there is no udev.
package devperm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"porthole/hw/uevent"
)

// Mode is what the nodes get: owner root and the group, nobody else.
const Mode fs.FileMode = 0o660

// patterns are the nodes below /dev: DRM, framebuffers, HDMI CEC, ALSA.
var patterns = []string{"dri/*", "fb[0-9]*", "cec[0-9]*", "snd/*"}

// Nodes is where device nodes are. The zero value is /dev of the running system.
type Nodes struct {
	// Root stands for /.
	Root string
}

func (n Nodes) dev() string {
	if n.Root == "" {
		return "/dev"
	}
	return filepath.Join(n.Root, "dev")
}

// Grant hands all nodes there are to group gid and returns the names, below /dev, of those that were not yet: none where
// there is neither screen nor sound. An error about one node does not keep the others from being handed over.
func (n Nodes) Grant(gid int) ([]string, error) {
	var changed []string
	var errs []error
	for _, p := range patterns {
		paths, err := filepath.Glob(filepath.Join(n.dev(), p))
		if err != nil {
			return changed, fmt.Errorf("list devices %s: %w", p, err)
		}
		for _, path := range paths {
			name := strings.TrimPrefix(path, n.dev()+"/")
			did, err := n.grant(name, gid)
			if did {
				changed = append(changed, name)
			}
			errs = append(errs, err)
		}
	}
	return changed, errors.Join(errs...)
}

// GrantNew does the same for what a kernel event tells of: its node, if it is one of these and was not handed over yet,
// or all nodes when events were lost.
func (n Nodes) GrantNew(ev uevent.Event, gid int) ([]string, error) {
	if ev.Lost {
		return n.Grant(gid)
	}
	// Without leading /dev (drivers/base/core.c, dev_uevent).
	name := ev.Vars["DEVNAME"]
	matches := func(p string) bool { ok, err := filepath.Match(p, name); return ok && err == nil }
	if ev.Action == "remove" || !slices.ContainsFunc(patterns, matches) {
		return nil, nil
	}
	did, err := n.grant(name, gid)
	if !did {
		return nil, err
	}
	return []string{name}, err
}

// grant reports whether it had something to do.
func (n Nodes) grant(name string, gid int) (bool, error) {
	path := filepath.Join(n.dev(), name)
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // gone again
	}
	if err != nil {
		return false, fmt.Errorf("look at device %s: %w", name, err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode()&fs.ModeCharDevice == 0 || int(sys.Gid) == gid && st.Mode().Perm() == Mode {
		return false, nil
	}
	if err := os.Lchown(path, 0, gid); err != nil {
		return false, fmt.Errorf("hand device %s to group %d: %w", name, gid, err)
	}
	if err := os.Chmod(path, Mode); err != nil {
		return false, fmt.Errorf("hand device %s to group %d: %w", name, gid, err)
	}
	return true, nil
}
