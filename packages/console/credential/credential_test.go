package credential_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/console/credential"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMemory: what was right is believed for a while, as long as what it was compared with stays.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := credential.NewMemory(time.Minute, 8)
		k := m.Key("anna", "secret")
		if m.Recall(k, "hash") || m.Renew(k, "hash") {
			t.Error("something is known from the start")
		}
		m.Remember(k, "hash")
		for name, other := range map[string]credential.Key{
			"another secret": m.Key("anna", "secreT"), "another name": m.Key("ann", "asecret"), "another memory": credential.NewMemory(time.Minute, 8).Key("anna", "secret"),
		} {
			if m.Recall(other, "hash") {
				t.Errorf("%s is taken for the right one", name)
			}
		}
		if m.Recall(k, "other") || !m.Recall(k, "hash") {
			t.Error("a changed hash is not seen")
		}
		<-time.After(59 * time.Second)
		if !m.Renew(k, "hash") {
			t.Error("forgotten before its time")
		}
		<-time.After(59 * time.Second)
		if !m.Recall(k, "hash") {
			t.Error("not renewed")
		}
		<-time.After(2 * time.Second)
		if m.Recall(k, "hash") || m.Renew(k, "hash") {
			t.Error("known for ever")
		}
		// It does not grow: after more than it holds the last one is known still.
		for i := range 100 {
			k = m.Key(strings.Repeat("x", i), "s")
			m.Remember(k, "h")
		}
		if !m.Recall(k, "h") || m.Len() > 8 {
			t.Errorf("%d are remembered", m.Len())
		}
	})
}

// TestBuckets: looking counts nothing, and the one that was quiet for longest is forgotten first.
func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := credential.NewBuckets[string](time.Second, 2, 2)
		for range 10 {
			if b.Wait("a") != 0 {
				t.Fatal("a look counts")
			}
		}
		for i, over := range []bool{false, false, true, true} {
			if wait := b.Take("a"); wait > time.Second || over != (wait > 0) || over != (b.Wait("a") > 0) && i != 1 {
				t.Errorf("event %d: wait %s", i, wait)
			}
		}
		<-time.After(time.Second)
		if b.Take("b") != 0 || b.Take("c") != 0 || b.Len() != 2 {
			t.Errorf("%d keys", b.Len())
		}
		for i, over := range []bool{false, false, true} {
			if wait := b.Take("a"); over != (wait > 0) {
				t.Errorf("event %d of the one that was forgotten: wait %s", i, wait)
			}
		}
		b.Return("a")
		if b.Take("a") != 0 || b.Take("a") == 0 {
			t.Error("an event that was taken back still counts")
		}
		b.Forget("a")
		if b.Take("a") != 0 {
			t.Error("not forgotten")
		}
	})
}

// TestHasher: what it makes it knows again, and endless passwords are not looked at.
func TestHasher(t *testing.T) {
	h := credential.NewHasher()
	phc, err := h.Hash(t.Context(), "ABC123XYZ")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s %v", phc, err)
	}
	for secret, want := range map[string]bool{"ABC123XYZ": true, "ABC123XYz": false, "": false, strings.Repeat("a", 2000): false} {
		if ok, err := h.Matches(t.Context(), credential.Line{}, secret, phc); ok != want || err != nil {
			t.Errorf("%.20q: %t, %v", secret, ok, err)
		}
	}
	if ok, err := h.Matches(t.Context(), credential.Line{}, "x", credential.Nobody); ok || err != nil {
		t.Errorf("nobody: %t, %v", ok, err)
	}
	if _, err := h.Matches(t.Context(), credential.Line{}, "x", "no hash"); err == nil {
		t.Error("a damaged hash is taken for a wrong password")
	}
}
