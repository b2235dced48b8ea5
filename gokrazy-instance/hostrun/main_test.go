//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is hostrun, and the programs it supervises: links to it, whose names say what they do.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "hostrun":
		os.Exit(start(os.Args[1:]))
	case "ends":
		os.Exit(0)
	case "fails":
		fmt.Fprintln(os.Stderr, "I have no luck today")
		os.Exit(1)
	case "runs", "system", "proxy", "signaling", "console":
		wd, err := os.Getwd()
		fmt.Fprintln(os.Stdout, "in", wd, err)
		<-time.After(2 * time.Minute)
		os.Exit(3)
	}
	goleak.VerifyTestMain(m)
}
