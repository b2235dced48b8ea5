// Package privileges gives up root. A process that was started as root makes the folders it needs, becomes its own user
// with the few groups and capabilities it keeps, sets a filter over system calls, and executes itself, so that no root
// parent and no thread with more rights stays (Drop). In its second life it shuts itself out of all files and ports but
// those it names (Confine).
package privileges

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Plan is what a process keeps; everything else is given up.
type Plan struct {
	// UID is the user, and the number of its group as well. 0 stays root, with Capabilities only.
	UID int
	// Groups are further groups.
	Groups []int
	// Capabilities are capability numbers (capabilities(7)), such as unix.CAP_NET_BIND_SERVICE.
	Capabilities []int
	// Folders are made, and their owners and modes set, before root is given up.
	Folders []Folder
	// Environ is the environment of the second life.
	Environ []string
	// Files are the files and ports Confine leaves; nil confines nothing.
	Files *Files
}

// Files are the files and ports that stay within reach. What does not exist when Confine is called stays out of reach.
type Files struct {
	// Read may be read; folders with all they hold.
	Read []string
	// Write are folders in which files may be made, read, changed and removed.
	Write []string
	// Execute are programs that may be executed.
	Execute []string
	// Devices are device nodes, or folders of them, that may be opened and controlled (ioctl).
	Devices []string
	// Sockets are folders with unix sockets that may be connected to. Kernels older than Landlock ABI 9 do not ask.
	Sockets []string
	// BindTCP are the TCP ports to listen on, ConnectTCP those to connect to, on any host, unless ConnectAnywhere. As
	// of ABI 9 multipath TCP is not held back by them, nor is UDP.
	BindTCP, ConnectTCP []uint16
	ConnectAnywhere     bool
}

// Pending reports whether this process still has to Drop: it is root, and has not been through Drop.
func (p Plan) Pending() bool { return os.Geteuid() == 0 && (p.UID != 0 || !noNewPrivs()) }

func noNewPrivs() bool {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return err == nil && set == 1
}

// State is what the kernel says of this process.
type State struct {
	UID, GID int
	// Groups are the further groups, in order.
	Groups []int
	// Capabilities are the names of those in effect, such as "net_bind_service".
	Capabilities []string
	// NoNewPrivs says that no program this process executes can have more rights than it; Filtered that a filter over
	// system calls is in force.
	NoNewPrivs, Filtered bool
}

// Now asks the kernel what this process has.
func Now() (State, error) {
	s := State{UID: os.Getuid(), GID: os.Getgid(), NoNewPrivs: noNewPrivs()}
	groups, err := os.Getgroups()
	if err != nil {
		return s, fmt.Errorf("list groups: %w", err)
	}
	slices.Sort(groups)
	for _, g := range slices.Compact(groups) {
		if g != s.GID {
			s.Groups = append(s.Groups, g)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return s, fmt.Errorf("list capabilities: %w", err)
	}
	for c := range 64 {
		if data[c/32].Effective&(1<<(c%32)) != 0 {
			s.Capabilities = append(s.Capabilities, capabilityName(c))
		}
	}
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	s.Filtered = err == nil && mode == unix.SECCOMP_MODE_FILTER
	return s, nil
}

// capabilityNames are the names in include/uapi/linux/capability.h by number.
var capabilityNames = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio",
	"sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time",
	"sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
	"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
}

func capabilityName(c int) string {
	if c < len(capabilityNames) {
		return capabilityNames[c]
	}
	return fmt.Sprintf("capability_%d", c)
}
