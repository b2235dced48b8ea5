package privileges

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deniedCalls are system calls that no process of ours makes once it has given up root, and through which most ways to
// get it back from the kernel went. They fail with EPERM.
var deniedCalls = []uint32{
	// Other processes.
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	// Mounts and namespaces; unprivileged users get them inside a user namespace.
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_MOUNT_SETATTR, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT,
	// The kernel itself.
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_SYSLOG, unix.SYS_PERSONALITY,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	// The whole machine.
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_ACCT,
	unix.SYS_QUOTACTL, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_VHANGUP,
}

// deniedClone are the flags of clone(2) that make namespaces.
const deniedClone = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// allowedFamilies are the address families sockets may have: the rarely used ones have a history.
var allowedFamilies = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// Offsets in struct seccomp_data (linux/seccomp.h): number, architecture, low half of the first argument.
const (
	offNumber = 0
	offArch   = 4
	offArg0   = 16
)

// filterCalls denies deniedCalls to this thread and the program it executes, for good. no_new_privs must be set.
func filterCalls() error {
	if auditArch == 0 {
		return fmt.Errorf("filter system calls: no filter for %s", runtime.GOARCH)
	}
	program := filter()
	f := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&f)), 0, 0)
	runtime.KeepAlive(program)
	switch {
	case errors.Is(err, unix.EINVAL):
		return errors.New("filter system calls: the kernel cannot")
	case err != nil:
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}

// filter is the program in classic BPF (Documentation/userspace-api/seccomp_filter.rst).
func filter() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	answer := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	// skipUnless and skipIf leave out the next instruction.
	skipUnless := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: k}
	}
	skipIf := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: k}
	}
	const deny = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	p := []unix.SockFilter{
		load(offArch), skipIf(auditArch), answer(unix.SECCOMP_RET_KILL_PROCESS), // other numbers mean other calls
		load(offNumber),
		// x32 on amd64 (__X32_SYSCALL_BIT): the same calls by other numbers.
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 1, K: 0x40000000}, answer(deny),
	}
	for _, nr := range deniedCalls {
		p = append(p, skipUnless(nr), answer(deny))
	}
	// clone3 hides its flags behind a pointer; where it is missing the C library takes clone.
	p = append(p, skipUnless(unix.SYS_CLONE3), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	clone := []unix.SockFilter{
		load(offArg0), {Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: deniedClone}, answer(deny),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: uint8(len(clone)), K: unix.SYS_CLONE})
	p = append(p, clone...)
	p = append(p, skipIf(unix.SYS_SOCKET), answer(unix.SECCOMP_RET_ALLOW), load(offArg0))
	for _, family := range allowedFamilies {
		p = append(p, skipUnless(family), answer(unix.SECCOMP_RET_ALLOW))
	}
	return append(p, answer(unix.SECCOMP_RET_ERRNO|uint32(unix.EAFNOSUPPORT)))
}
