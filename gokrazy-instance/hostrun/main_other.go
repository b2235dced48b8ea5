//go:build !linux

// Command hostrun runs Porthole on a developer's machine. It needs Linux.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "hostrun: Porthole runs on Linux only, and this is %s: use a Linux machine, a virtual machine or WSL\n", runtime.GOOS)
	os.Exit(1)
}
