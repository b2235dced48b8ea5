package settings_test

import (
	"slices"
	"strings"
	"testing"

	"porthole/packages/internal/settings"
)

func TestTrustedProxies(t *testing.T) {
	for _, c := range []struct {
		typed, want []string
		reason      string
	}{
		{nil, nil, ""},
		{[]string{"192.168.1.5", "::ffff:10.0.0.1", "10.1.2.3/8", "fd00::5/64", "::ffff:10.9.0.0/112"}, []string{"192.168.1.5", "10.0.0.1", "10.0.0.0/8", "fd00::/64", "10.9.0.0/16"}, ""},
		{[]string{"proxy.example.org"}, nil, "neither an address"},
		{[]string{"0.0.0.0/0"}, nil, "whole internet"},
		{[]string{"::/0"}, nil, "whole internet"},
		{[]string{"::ffff:0.0.0.0/96"}, nil, "whole internet"},
		{[]string{"::ffff:0.0.0.0/90"}, nil, "neither an address"},
		{[]string{"fe80::1%eth0"}, nil, "neither an address"},
		{[]string{"0.0.0.0"}, nil, "neither an address"},
		{slices.Repeat([]string{"10.0.0.1"}, 33), nil, "at most 32"},
	} {
		list, reason := settings.CheckTrustedProxies(c.typed)
		if c.reason != "" {
			if !strings.Contains(reason, c.reason) {
				t.Errorf("%q: %q", c.typed, reason)
			}
			continue
		}
		if reason != "" || !slices.Equal(list, c.want) {
			t.Errorf("%q: %q, %s", c.typed, list, reason)
		}
		if n := (settings.Access{TrustedProxies: list}).TrustedNetworks(); len(n) != len(list) {
			t.Errorf("%q: networks %v", list, n)
		}
	}
	if n := (settings.Access{TrustedProxies: []string{"x", "0.0.0.0/0", "10.0.0.1"}}).TrustedNetworks(); len(n) != 1 {
		t.Errorf("%v", n)
	}
}
