//go:build linux && !amd64 && !arm64

package decode

// auditArch 0: no filter for this architecture.
const auditArch = 0

var archSyscalls []uint32
