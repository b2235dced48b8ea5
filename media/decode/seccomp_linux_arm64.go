package decode

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// archSyscalls are those whose names differ between architectures.
var archSyscalls = []uint32{unix.SYS_FSTATAT, unix.SYS_GETRLIMIT}
