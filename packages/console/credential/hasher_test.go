package credential_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"porthole/packages/console/credential"
)

// TestHasherLines: behind a hundred tries of an account from outside nobody else waits for more than one of them.
func TestHasherLines(t *testing.T) {
	h := credential.NewHasher()
	phc, err := h.Hash(t.Context(), "right password")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	started := make(chan struct{}, 200)
	for i := range 200 {
		from := credential.Line{Name: "account admin"}
		if i%2 == 0 {
			from.Name = "nobody"
		}
		wg.Go(func() {
			started <- struct{}{}
			if _, err := h.Matches(ctx, from, "guess", phc); err == nil {
				mu.Lock()
				done++
				mu.Unlock()
			}
		})
	}
	for range 200 {
		<-started
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return done }
	for name, from := range map[string]credential.Line{
		"outside": {Name: "account anna"}, "at home": {Inside: true, Name: "account admin"}, "known": {Inside: true, Name: "device 1"},
	} {
		before := count()
		if ok, err := h.Matches(t.Context(), from, "right password", phc); err != nil || !ok {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
		// The flood has two lines, and one slot: about two go first, on a busy machine some more until we look.
		if passed := count() - before; passed > 60 {
			t.Errorf("%s: %d of the flood went first", name, passed)
		}
	}
	cancel()
	wg.Wait()
	// Whoever gave up while waiting has given everything back.
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		if ok, err := h.Matches(ctx, credential.Line{Name: "account admin"}, "right password", phc); err != nil || !ok {
			t.Errorf("afterwards: %t, %v", ok, err)
		}
	}
	if err := h.Pretend(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	if err := h.Pretend(ctx); err == nil {
		t.Error("pretending does not end with its context")
	}
}

// TestDevices: a cookie says for whom a browser is known, to the device that made it only.
func TestDevices(t *testing.T) {
	d := credential.NewDevices([]byte("one key"))
	cookie := ""
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "b"} {
		had := d.Find(cookie, name)
		cookie = d.Add(cookie, name)
		if now := d.Find(cookie, name); now == "" || now == had {
			t.Errorf("%s: %q after %q", name, now, had)
		}
	}
	for name, known := range map[string]bool{"a": false, "b": true, "c": true, "d": true, "e": true, "f": true, "": false, "B": false} {
		if (d.Find(cookie, name) != "") != known {
			t.Errorf("%q is known: %t", name, !known)
		}
	}
	if credential.NewDevices([]byte("another")).Find(cookie, "b") != "" {
		t.Error("the cookie of another device is good here")
	}
	if len(cookie) > 300 {
		t.Errorf("a cookie of %d bytes", len(cookie))
	}
}

// FuzzDevices: no cookie but our own makes a browser known, and whatever it was, the next one is good.
func FuzzDevices(f *testing.F) {
	d, other := credential.NewDevices([]byte("one key")), credential.NewDevices([]byte("another key"))
	f.Add("", "admin")
	f.Add(other.Add("", "admin"), "admin")
	f.Add("....", "a.b")
	f.Add(other.Add(other.Add("", "x"), "y")+".", "y")
	f.Fuzz(func(t *testing.T, cookie, name string) {
		if d.Find(cookie, name) != "" {
			t.Fatalf("%q makes %q known", cookie, name)
		}
		next := d.Add(cookie, name)
		if d.Find(next, name) == "" || len(next) > 300 {
			t.Fatalf("after %q the cookie is %q", cookie, next)
		}
		if d.Find(next, name+"x") != "" {
			t.Fatalf("%q makes another account known", next)
		}
	})
}
