package live

import (
	"errors"
	"strings"
	"testing"
)

// TestNoPath: who cannot connect is told what to open.
func TestNoPath(t *testing.T) {
	p, err := Listen(discard(), "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	says := func(want ...string) {
		t.Helper()
		var r *Refusal
		if err := p.noPath(); !errors.As(err, &r) || r.Reason != NoPath {
			t.Fatalf("%v", err)
		}
		for _, w := range want {
			if !strings.Contains(r.Message, w) {
				t.Errorf("%q does not say %q", r.Message, w)
			}
		}
	}
	says("UDP is blocked", "/udp")
	for _, bad := range []string{"", "443", "127.0.0.1:0", "127.0.0.1:https", ":70000"} {
		if err := p.Share(bad); err == nil || !strings.Contains(err.Error(), "-shared") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := p.Share("127.0.0.1:61443"); err != nil {
		t.Fatal(err)
	}
	says("UDP and TCP are both blocked", "open port 61443/tcp")
}
