package main

import (
	"regexp"
	"strings"
	"testing"

	"porthole/packages/internal/testkit"
)

// TestScan: what the port offers, as strangers find out.
func TestScan(t *testing.T) {
	env, log := newEnv(t)
	a := testkit.NewAuthority(t, "of the device")
	for _, rsa := range []string{"-rsa", ""} {
		a.Issue(t, testkit.Leaf{Names: []string{"localhost"}, RSA: rsa != ""}).Publish(t, env.TLSDir(""), "device"+rsa)
	}
	console(t, env, nil)
	start(t, env, options{wss: "127.0.0.1:0"})
	until(t, "TLS is announced", func() bool { return strings.Contains(log.String(), "speaks TLS") })
	testkit.ScanTLS(t, regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(log.String())[1], a.File(t))
}
