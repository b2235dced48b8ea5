package source_test

import (
	"net/netip"
	"testing"

	"porthole/packages/internal/source"
)

func TestOf(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7":            "203.0.113.7/32",
		"::ffff:203.0.113.7":     "203.0.113.7/32",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"fe80::1:2:3:4%eth0":     "fe80::/64",
		"2001:db8:1:2:ffff::1":   "2001:db8:1:2::/64",
		"fd00:0:0:1:aaaa:b:c:d0": "fd00:0:0:1::/64",
	} {
		if got := source.Of(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", in, got, want)
		}
	}
	if got := source.Of(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address counts as %v", got)
	}
}
