package main_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"porthole/packages/console/credential"
)

func TestClaim(t *testing.T) {
	d := newDevice(t).start()
	b := d.browser()
	for _, path := range []string{"/", "/login", "/settings/cameras/new", "/logs/proxy"} {
		if a := b.get(path); a.status != http.StatusSeeOther || a.location != "/claim" {
			t.Errorf("%s of a new device: %d to %q", path, a.status, a.location)
		}
	}
	if a := b.get("/claim"); a.status != http.StatusOK || !strings.Contains(a.body, `name="code"`) {
		t.Fatalf("claim page: %d\n%s", a.status, a.body)
	}
	code := d.claimCode()
	for name, c := range map[string]struct {
		code, password, confirm string
		status                  int
		want                    string
	}{
		"wrong code":     {"AAAA-2222", password, password, http.StatusForbidden, "not the code of this device"},
		"short password": {code, "too short", "too short", http.StatusUnprocessableEntity, "at least 10 characters"},
		"long password":  {code, strings.Repeat("x", 1025), "", http.StatusUnprocessableEntity, "at most 1024"},
		"differ":         {code, password, password + "!", http.StatusUnprocessableEntity, "two passwords differ"},
	} {
		a := b.post("/claim", "code", c.code, "password", c.password, "confirm", c.confirm)
		if a.status != c.status || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		if !strings.Contains(a.body, `value="`+c.code+`"`) {
			t.Errorf("%s: the code that was typed is gone", name)
		}
	}
	// As people type it.
	typed := strings.ToLower(strings.ReplaceAll(code, "-", " "))
	if a := b.post("/claim", "code", typed, "password", password, "confirm", password); a.status != http.StatusSeeOther || a.location != "/" {
		t.Fatalf("right code: %d\n%s", a.status, a.body)
	}
	if a := b.get("/"); a.status != http.StatusOK || !strings.Contains(a.body, "Log out") {
		t.Errorf("not logged in after the claim: %d", a.status)
	}
	// Afterwards there is nothing to claim, for anybody.
	other := d.browser()
	if a := other.get("/claim"); a.status != http.StatusSeeOther || a.location != "/login" {
		t.Errorf("claim page of a claimed device: %d to %q", a.status, a.location)
	}
	if a := other.post("/claim", "code", code, "password", password, "confirm", password); a.location != "/login" {
		t.Errorf("second claim: %d to %q", a.status, a.location)
	}
	var claim struct {
		Claimed bool
		Code    string
	}
	if _, err := d.internal().Call(t.Context(), http.MethodGet, "/claim", nil, &claim); err != nil || !claim.Claimed || claim.Code != "" {
		t.Errorf("after the claim the code is still told: %+v, %v", claim, err)
	}
}

func TestClaimCodeStaysAndIsLimited(t *testing.T) {
	d := newDevice(t).start()
	code := d.claimCode()
	if !regexp.MustCompile(`^[A-Z]{4}-[2-9]{4}$`).MatchString(code) {
		t.Errorf("claim code %q", code)
	}
	d.stop()
	d.start()
	if got := d.claimCode(); got != code {
		t.Errorf("the code changed with a restart: %s, then %s", code, got)
	}
	b := d.browser()
	last := 0
	for range 6 {
		last = b.post("/claim", "code", "BBBB-2222", "password", password, "confirm", password).status
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the sixth wrong code in a row: %d", last)
	}
	// The right code is not looked at either, and the page says how long to wait.
	a := b.post("/claim", "code", code, "password", password, "confirm", password)
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "then try again") {
		t.Errorf("right code after too many wrong ones: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	elsewhere := d.browser()
	elsewhere.remote = "192.168.1.8"
	if a := elsewhere.post("/claim", "code", code, "password", password, "confirm", password); a.status != http.StatusSeeOther {
		t.Errorf("from another address: %d", a.status)
	}
}

// TestOneOwner: of many who send the right code at the same moment one gets the device.
func TestOneOwner(t *testing.T) {
	d := newDevice(t).start()
	code := d.claimCode()
	var mu sync.Mutex
	owners := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		b := d.browser()
		wg.Go(func() {
			a := b.post("/claim", "code", code, "password", password, "confirm", password)
			mu.Lock()
			defer mu.Unlock()
			owners[a.location]++
		})
	}
	wg.Wait()
	if owners["/"] != 1 || owners["/login"] != 3 {
		t.Errorf("four claims led to %v", owners)
	}
}

func TestClaimCodesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		code := credential.NewCode()
		if strings.ContainsAny(code, "IOAEUL01") {
			t.Errorf("code %q has letters that are mistaken for others", code)
		}
		seen[code] = true
	}
	if len(seen) != 200 {
		t.Errorf("200 codes, %d different ones", len(seen))
	}
}
