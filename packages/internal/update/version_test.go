package update_test

import (
	"strings"
	"testing"

	"porthole/packages/internal/update"
)

func TestVersionOrder(t *testing.T) {
	// Each is older than the next.
	order := []string{
		"v0.0.0-1-gabcd", "v0.0.0-240-gdd5ce25", "v0.0.1", "v0.9.12", "v0.10.0", "1.0.0", "v1.0.0-1-gffff-dirty", "v1.0.0-10-gaaaa", "v1.0.1",
		"v2.0.0", "v999999.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			got, err := update.Compare(a, b)
			if err != nil {
				t.Fatal(err)
			}
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s against %s gives %d", a, b, got)
			}
		}
	}
	for a, b := range map[string]string{"v1.2.3": "1.2.3-dirty", "v1.2.3-4-gabcd": "v1.2.3-4-g1234"} {
		if got, err := update.Compare(a, b); got != 0 || err != nil {
			t.Errorf("%s against %s gives %d, %v", a, b, got, err)
		}
	}
}

func TestVersionRefused(t *testing.T) {
	for _, text := range []string{
		"", "v", "test", "devel", "dd5ce25", "1.2", "v1.2.3.4", "v01.2.3", "v1.2.3-4", "v1.2.3-gabcd", "v1.2.3-4-gxyzw", "v1.2.3-4-gabc", "v1.2.3-rc1",
		"v1.2.3-dirty-dirty", "v1.2.3\n", " v1.2.3", "v1234567.0.0", "v1.2.-3", "v1.2.3-04-gabcd", "v1.2.3-1-g" + strings.Repeat("a", 65), strings.Repeat("1", 1<<20),
	} {
		_, err := update.ParseVersion(text)
		if err == nil {
			t.Errorf("%q is taken for a version", text)
		} else if len(err.Error()) > 300 {
			t.Errorf("the error for %.20q has %d bytes", text, len(err.Error()))
		}
		for _, pair := range [][2]string{{text, "v1.0.0"}, {"v1.0.0", text}} {
			if _, err := update.Compare(pair[0], pair[1]); err == nil {
				t.Errorf("%q is compared with %q", pair[0], pair[1])
			}
		}
	}
}

// FuzzVersion: whatever is taken for a version is written back as the same version, and compares as its numbers say.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"v1.2.3", "1.2.3-dirty", "v0.0.0-240-gdd5ce25", "v0.0.0-240-gdd5ce25-dirty", "v1.2", "vv1.2.3", "v1.2.3-0-gabcd"} {
		f.Add(s, "v1.2.3-4-gabcd")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		va, errA := update.ParseVersion(a)
		if errA != nil {
			return
		}
		again, err := update.ParseVersion(va.String())
		if err != nil || again != va {
			t.Errorf("%q is %+v, written %q, which is %+v (%v)", a, va, va, again, err)
		}
		if strings.TrimPrefix(a, "v") != strings.TrimPrefix(va.String(), "v") {
			t.Errorf("%q is written %q", a, va)
		}
		vb, errB := update.ParseVersion(b)
		if errB != nil {
			return
		}
		if va.Compare(vb) != -vb.Compare(va) || va.Compare(va) != 0 {
			t.Errorf("%q and %q have no order", a, b)
		}
	})
}
