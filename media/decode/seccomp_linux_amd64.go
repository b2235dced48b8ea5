package decode

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// archSyscalls are those that newer architectures do not have.
var archSyscalls = []uint32{
	unix.SYS_OPEN, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_NEWFSTATAT, unix.SYS_READLINK, unix.SYS_ACCESS,
	unix.SYS_POLL, unix.SYS_SELECT, unix.SYS_ARCH_PRCTL, unix.SYS_TIME, unix.SYS_GETRLIMIT,
}
