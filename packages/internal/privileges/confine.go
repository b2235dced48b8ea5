package privileges

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Rights in Landlock's words (Documentation/userspace-api/landlock.rst).
const (
	rightsRead    = ll.AccessFSReadFile | ll.AccessFSReadDir
	rightsExecute = ll.AccessFSReadFile | ll.AccessFSExecute
	rightsDevice  = rightsRead | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
	rightsWrite   = rightsRead | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSRefer |
		ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSMakeSym | ll.AccessFSMakeSock | ll.AccessFSMakeFifo |
		ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
	rightsConnect = ll.AccessFSResolveUnix
	// rightsOfFile are those that mean something for what is no folder; the kernel refuses the others there.
	rightsOfFile = ll.AccessFSExecute | ll.AccessFSWriteFile | ll.AccessFSReadFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
)

// Landlock says how far Confine went.
type Landlock struct {
	// ABI is the version in force: the kernel's, at most the one these rules are written for. 0: none.
	ABI int
	// Absent are paths that do not exist and so stay out of reach.
	Absent []string
}

// abi is the version whose rights the rules below were written for. A later one would hold back more than they give,
// such as UDP (ABI 10).
const abi = 9

// ErrNoLandlock means that the kernel has no Landlock, or has it switched off.
var ErrNoLandlock = errors.New("the kernel has no Landlock")

// Confine keeps this process, and all it starts, out of everything but p.Files, by Landlock; and its memory out of core
// dumps and of the reach of others of its user. It returns ErrNoLandlock where the kernel cannot. Without Files it only
// does the latter.
func (p Plan) Confine() (Landlock, error) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return Landlock{}, fmt.Errorf("keep memory out of core dumps: %w", err)
	}
	if p.Files == nil {
		return Landlock{}, nil
	}
	var l Landlock
	kernel, err := ll.LandlockGetABIVersion()
	if err != nil || kernel < 1 {
		return l, ErrNoLandlock
	}
	config := landlock.V9.BestEffort()
	// Every thread gets a domain of its own, and a child belongs to that of the thread that started it: the others could
	// not kill it (EPERM), and a decoder would outlive its picture. Signals to other users' processes need a capability.
	config.Scoped &^= ll.ScopeSignal
	var rules []landlock.Rule
	allow := func(rights landlock.AccessFSSet, paths []string) error {
		for _, path := range paths {
			st, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				l.Absent = append(l.Absent, path)
				continue
			}
			if err != nil {
				return fmt.Errorf("look at %s: %w", path, err)
			}
			r := rights
			if !st.IsDir() {
				r &= rightsOfFile
			}
			rules = append(rules, landlock.PathAccess(r, path))
		}
		return nil
	}
	f := p.Files
	if err := errors.Join(
		allow(rightsRead, f.Read), allow(rightsWrite, f.Write), allow(rightsExecute, f.Execute),
		allow(rightsDevice, f.Devices), allow(rightsConnect, f.Sockets),
	); err != nil {
		return l, err
	}
	for _, port := range f.BindTCP {
		rules = append(rules, landlock.BindTCP(port))
	}
	if f.ConnectAnywhere {
		config.HandledAccessNet &^= ll.AccessNetConnectTCP
	}
	for _, port := range f.ConnectTCP {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	if err := config.Restrict(rules...); err != nil {
		return l, fmt.Errorf("confine by Landlock: %w", err)
	}
	l.ABI = min(kernel, abi)
	return l, nil
}
