package privileges

import "golang.org/x/sys/unix"

// auditArch is this architecture's number in struct seccomp_data.
const auditArch = unix.AUDIT_ARCH_X86_64
