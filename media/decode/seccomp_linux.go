package decode

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// commonSyscalls is all that a static, threaded program needs to read its input, compute and write its output. There is no socket,
// no fork, no ptrace, no mount, no kill of others in it. execve stays for the one step from Child to ffmpeg; Landlock leaves it
// nothing else to execute.
var commonSyscalls = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_LSEEK,
	unix.SYS_OPENAT, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_FCNTL, unix.SYS_DUP, unix.SYS_IOCTL, unix.SYS_READLINKAT,
	unix.SYS_FACCESSAT, unix.SYS_PPOLL, unix.SYS_PSELECT6,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SET_TID_ADDRESS, unix.SYS_SCHED_YIELD,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_TGKILL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_GETRUSAGE, unix.SYS_PRLIMIT64, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRANDOM,
	unix.SYS_EXECVE, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// Offsets in struct seccomp_data (linux/seccomp.h): system call number, architecture, low half of the first argument.
const (
	offNumber = 0
	offArch   = 4
	offArg0   = 16
)

// filterSyscalls makes every other system call of this thread, and of the program it becomes, fail with EPERM.
// no_new_privs must be set.
func filterSyscalls() error {
	prog := seccompProgram()
	if prog == nil {
		return fmt.Errorf("no filter for %s", runtime.GOARCH)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	runtime.KeepAlive(prog)
	return nil
}

// seccompProgram is the filter for this architecture, nil if there is none.
func seccompProgram() []unix.SockFilter {
	if auditArch == 0 {
		return nil
	}
	const deny = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	ret := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	// unless skips the next instruction, unless the loaded value equals k.
	unless := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: k}
	}
	p := []unix.SockFilter{
		load(offArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: auditArch},
		ret(unix.SECCOMP_RET_KILL_PROCESS), // another architecture's numbers mean other calls
		load(offNumber),
	}
	for _, nr := range slices.Concat(commonSyscalls, archSyscalls) {
		p = append(p, unless(nr), ret(unix.SECCOMP_RET_ALLOW))
	}
	// clone3 hides its flags behind a pointer; without it the C library uses clone, of which only threads are allowed.
	return append(p,
		unless(unix.SYS_CLONE3), ret(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.SYS_CLONE}, ret(deny),
		load(offArg0),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 1, K: unix.CLONE_THREAD}, ret(deny),
		ret(unix.SECCOMP_RET_ALLOW))
}
