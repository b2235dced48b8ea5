//go:build !amd64 && !arm64

package privileges

// auditArch is zero where there is no filter.
const auditArch = 0
