package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/unixsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHeader(t *testing.T) {
	h := http.Header{}
	if _, err := identity.Of(h); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("no header: %v", err)
	}
	want := identity.Identity{User: "Zoë\r\nX: y", Role: identity.Viewer, Cameras: []string{"door"}}
	if err := identity.Set(h, want); err != nil {
		t.Fatal(err)
	}
	got, err := identity.Of(h)
	if err != nil || got.User != want.User || got.Role != want.Role {
		t.Errorf("got %+v, %v", got, err)
	}
	if !got.MaySee("door") || got.MaySee("garden") || (identity.Identity{}).MaySee("door") {
		t.Error("MaySee is wrong")
	}
	// No camera is not the same as all of them, on the way too.
	none := identity.Identity{User: "anna", Role: identity.Viewer, Cameras: []string{}}
	if err := identity.Set(h, none); err != nil {
		t.Fatal(err)
	}
	if got, err = identity.Of(h); err != nil || got.MaySee("door") || got.MayMeasure() {
		t.Errorf("somebody without cameras: %+v, %v", got, err)
	}
	h.Set(identity.Header, "admin")
	if _, err := identity.Of(h); err == nil || errors.Is(err, identity.ErrDenied) {
		t.Errorf("garbage header: %v", err)
	}
}

// TestScopes: a token is good for what it says and for nothing else.
func TestScopes(t *testing.T) {
	for name, c := range map[string]struct {
		id                   identity.Identity
		sees, measures, puts bool
	}{
		"nobody":          {identity.Identity{}, false, false, false},
		"nobody's token":  {identity.Identity{Scopes: []identity.Scope{identity.ScopeView, identity.ScopeMetrics, identity.ScopeUpload}}, false, false, false},
		"viewer":          {identity.Identity{User: "a"}, true, true, false},
		"listed cameras":  {identity.Identity{User: "a", Cameras: []string{"door"}}, true, false, false},
		"other cameras":   {identity.Identity{User: "a", Cameras: []string{"yard"}}, false, false, false},
		"empty token":     {identity.Identity{User: "a", Scopes: []identity.Scope{}}, false, false, false},
		"to view":         {identity.Identity{User: "a", Scopes: []identity.Scope{identity.ScopeView}}, true, false, false},
		"to view another": {identity.Identity{User: "a", Scopes: []identity.Scope{identity.ScopeView}, Cameras: []string{"yard"}}, false, false, false},
		"to measure":      {identity.Identity{User: "a", Scopes: []identity.Scope{identity.ScopeMetrics}}, false, true, false},
		"to upload":       {identity.Identity{User: "a", Scopes: []identity.Scope{identity.ScopeUpload}}, false, false, true},
	} {
		h := http.Header{}
		if err := identity.Set(h, c.id); err != nil {
			t.Fatal(err)
		}
		// What it may is the same at the other end.
		there, err := identity.Of(h)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []identity.Identity{c.id, there} {
			if id.MaySee("door") != c.sees || id.MayMeasure() != c.measures || id.Has(identity.ScopeUpload) != c.puts {
				t.Errorf("%s: sees %t, measures %t, uploads %t", name, id.MaySee("door"), id.MayMeasure(), id.Has(identity.ScopeUpload))
			}
		}
	}
}

func TestAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := unixsock.Listen(path, unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- unixsock.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var c identity.Credentials
			if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
				t.Error(err)
			}
			if c.Cookie != "good" || c.Remote != "192.0.2.1" {
				http.Error(w, `{"error":"no"}`, http.StatusUnauthorized)
				return
			}
			json.NewEncoder(w).Encode(identity.Identity{User: "admin", Role: identity.Admin})
		}))
	}()
	client := unixsock.NewClient(path)
	asker := identity.NewAsker(client)
	ask := func(cookie string) (identity.Identity, error) {
		r, err := http.NewRequest(http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		return asker.Ask(t.Context(), identity.FromRequest(r, "192.0.2.1"))
	}
	if id, err := ask("good"); err != nil || id.Role != identity.Admin {
		t.Errorf("got %+v, %v", id, err)
	}
	for _, cookie := range []string{"", "bad"} {
		if _, err := ask(cookie); !errors.Is(err, identity.ErrDenied) {
			t.Errorf("cookie %q: %v", cookie, err)
		}
	}
	client.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := ask("good"); err == nil || errors.Is(err, identity.ErrDenied) {
		t.Errorf("console is away: %v", err)
	}
	client.Close()
}
