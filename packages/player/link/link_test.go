package link_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/player/cache"
	playerclock "porthole/packages/player/clock"
	"porthole/packages/player/link"
	"porthole/packages/player/playback"
	"porthole/packages/player/spool"
)

// TestByCode: another Porthole lets the screen in by its code, once; then the auth code counts, over restarts, until the
// server hands out another one.
func TestByCode(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	p.to(srv.settings())
	if prog := p.next(); prog.Playlists[0].Items[0].FileName != "menu.jpg" || prog.PlayerID != 7 {
		t.Errorf("program %+v", prog)
	}
	p.well()
	s := p.State()
	if s.Kind != link.Porthole || s.Server != srv.url || s.PlayerID != 7 || s.PlayerName != "Shop TV" || s.Trust != "pinned ca" || s.Fingerprint == "" || s.CA == "" || s.LastContact.IsZero() || s.Attempts != 0 {
		t.Errorf("state %+v", s)
	}
	if p.clock.heard() == 0 {
		t.Error("the server's time was not taken")
	}
	file, mode := readFile(t, filepath.Join(p.dir, "server.json"))
	if mode != 0o600 || !strings.Contains(file, "the-auth-code") || strings.Contains(file, "ABC123XYZ") {
		t.Errorf("mode %04o: %s", mode, file)
	}
	srv.publish(func(p *program.Program) { *p = oneList("menu.jpg", "offers.jpg") })
	if prog := p.next(); len(prog.Playlists[0].Items) != 2 {
		t.Errorf("program %+v", prog)
	}

	srv.set(func() { srv.next = "a-newer-code" })
	p.restart()
	p.to(srv.settings())
	p.next()
	p.well()
	eventually(t, "the newer code", func() bool {
		return slices.ContainsFunc(srv.seen("/api/players/7/program"), func(c call) bool { return c.Bearer == "a-newer-code" })
	})
	if n := len(srv.seen("/api/auth/player")); n != 1 {
		t.Errorf("%d logins", n)
	}
	for _, c := range srv.seen("/") {
		if strings.Contains(c.Query, "code") || c.Agent != "Porthole/test" {
			t.Errorf("call %+v", c)
		}
	}
	// The server wants the code again.
	srv.set(func() { srv.auth, srv.next = "the-auth-code-2", ""; srv.change() })
	eventually(t, "another login", func() bool { return len(srv.seen("/api/auth/player")) == 2 })
	p.well()
	// Other credentials are not mixed up with these.
	other := srv.settings()
	other.QuickConnectCode = "wrong"
	p.to(other)
	p.trouble(link.CauseAuth, "till", "do not belong together")
}

// TestPairing: without a code the screen shows one for a person to type.
func TestPairing(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	srv.set(func() { srv.pair = "authorization_pending" })
	p.to(settings.PlayerSettings{Server: srv.url})
	s := p.trouble(link.CauseAuth, "BCDF-2341", "/screens/pair", "not paired")
	if s.PairingCode != "BCDF-2341" || s.PairingURI != srv.url+"/screens/pair" || s.Fingerprint == "" || s.Trust != "pinned ca" {
		t.Errorf("state %+v", s)
	}
	if c := srv.seen("/api/pair")[0]; c.Body["hostname"] != "shop-tv" || c.Body["agent"] != "Porthole/test" {
		t.Errorf("asked %+v", c)
	}
	// An outage does not change the code.
	srv.answerWith("/", fail(http.StatusBadGateway, "down"))
	p.trouble(link.CauseServer, "502")
	srv.answerWith("/", nil)
	p.trouble(link.CauseAuth, "BCDF-2341")
	srv.set(func() { srv.pair = "expired_token" })
	p.trouble(link.CauseAuth, "not paired")
	eventually(t, "another code", func() bool { return p.State().PairingCode > "BCDF-2341" })
	srv.set(func() { srv.pair = "access_denied" })
	p.trouble(link.CauseAuth, "refused this screen")
	srv.set(func() { srv.pair = "" })
	p.well()
	if s := p.State(); s.PairingCode != "" || s.PairingURI != "" || s.PlayerID != 7 {
		t.Errorf("state %+v", s)
	}
	p.restart()
	n := len(srv.seen("/api/pair"))
	p.Set(settings.PlayerSettings{Server: srv.url, RetryDelay: 1}, "another-name")
	p.well()
	if len(srv.seen("/api/pair")) != n {
		t.Error("it pairs again after a restart")
	}
}

// TestWhatTheServerAsksFor: pictures of the screen, its name over everything; neither is a new program.
func TestWhatTheServerAsksFor(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	srv.program.Playlists[0].Items = append(srv.program.Playlists[0].Items, program.Item{ID: 9, Kind: "camera", Camera: "door", DurationMS: 1000, Fit: "fit"})
	p.to(srv.settings())
	prog := p.next()
	// The server's camera is not ours of the same name.
	if i := prog.Playlists[0].Items[1]; i.Kind != "stream" || i.URL != strings.Replace(srv.url, "https", "rtsps", 1)+"/door" {
		t.Errorf("item %+v", i)
	}
	if err := prog.Validate(); err != nil {
		t.Error(err)
	}
	until := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	srv.publish(func(p *program.Program) { p.IdentifyUntil, p.Screenshot = until, 5 })
	eventually(t, "identify", func() bool { return (<-p.identify).Equal(until) })
	eventually(t, "a picture", func() bool { return len(srv.seen("/api/players/7/screenshot")) == 1 })
	if c := srv.seen("/api/players/7/screenshot")[0]; string(c.raw) != "\xff\xd8 a picture" || c.Bearer != "the-auth-code" {
		t.Errorf("picture %+v", c)
	}
	srv.publish(func(p *program.Program) { p.IdentifyUntil = time.Time{} })
	eventually(t, "no identify", func() bool { return (<-p.identify).IsZero() })
	if len(p.programs) != 0 {
		t.Errorf("another program: %+v", p.next())
	}
	if n := len(srv.seen("/api/players/7/screenshot")); n != 1 {
		t.Errorf("%d pictures", n)
	}
}

// TestReports: each comes once and in order, whatever the server does meanwhile.
func TestReports(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	p.Report(playback.Event{Status: "restarting", Message: "began anew", Time: at})
	p.Report(playback.Event{Status: "playing", Message: "menu.jpg", Item: 4, Version: 9, Time: at})
	if s := p.State(); s.Spooled != 2 {
		t.Errorf("state %+v", s)
	}
	p.restart() // before there was a server
	var refused atomic.Int32
	srv.answerWith("/api/player-feedback", func(w http.ResponseWriter, r *http.Request) {
		refused.Add(1)
		fail(503, `{"error":"later"}`, "Retry-After", "1")(w, r)
	})
	p.to(srv.settings())
	eventually(t, "a refusal", func() bool { return refused.Load() > 0 })
	srv.answerWith("/", nil)
	p.Report(playback.Event{Status: "error", Message: "clip.mp4 is damaged", Time: at})
	eventually(t, "all reports", func() bool { return p.State().Spooled == 0 })
	var got []string
	ids := map[any]bool{}
	for _, c := range srv.seen("/api/player-feedback")[refused.Load():] {
		got = append(got, c.Body["status"].(string))
		ids[c.Body["id"]] = true
		if c.Bearer != "the-auth-code" || c.Body["quickconnect_code"] != nil || c.Body["timestamp"] != "2026-11-21T20:00:00Z" {
			t.Errorf("call %+v", c)
		}
	}
	if !slices.Equal(got, []string{"restarting", "playing", "error"}) || len(ids) != 3 || ids[nil] || ids[""] {
		t.Errorf("reports %q, ids %v", got, ids)
	}
	// One that the server will never take does not hold up the others.
	srv.answerWith("/api/player-feedback", fail(400, `{"error":"no"}`))
	p.Report(playback.Event{Status: "error", Message: "odd", Time: at})
	eventually(t, "the odd one to be left out", func() bool { return p.State().Spooled == 0 })
}

// TestOtherCertificate: the link stops where somebody else answers, before anything of ours goes there, and goes on when a
// person has looked.
func TestOtherCertificate(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	p.to(srv.settings())
	p.next()
	p.well()
	good := srv.cert
	srv.set(func() { srv.cert = certificate(t) })
	srv.srv.CloseClientConnections()
	s := p.trouble(link.CauseTrust, "another certificate", "approve")
	if s.Pending == "" || s.Pending != s.Fingerprint || s.PendingCA == "" || s.Trust != "" || s.Connected {
		t.Errorf("state %+v", s)
	}
	n := len(srv.seen("/"))
	p.Retry()
	eventually(t, "another attempt", func() bool { return p.State().Attempts > s.Attempts })
	if got := srv.seen("/"); len(got) != n {
		t.Errorf("the other one was told %+v", got[n:])
	}
	if _, err := p.Get(t.Context(), "/api/media/token/menu.jpg", 0, ""); err == nil {
		t.Error("a medium was got from the other one")
	}
	// The right one comes back: nobody is needed.
	srv.set(func() { srv.cert = good })
	p.Retry()
	p.well()
	srv.set(func() { srv.cert = certificate(t) })
	srv.srv.CloseClientConnections()
	s = p.trouble(link.CauseTrust)
	if err := p.Approve("00:11"); err == nil {
		t.Error("something else is approved")
	}
	p.restart()
	p.to(srv.settings())
	p.trouble(link.CauseTrust)
	if err := p.Approve(s.Pending); err != nil {
		t.Fatal(err)
	}
	p.well()
	if s := p.State(); s.Pending != "" || s.Trust != "pinned ca" {
		t.Errorf("state %+v", s)
	}
}

// The seams of the packages that belong together.
var (
	_ cache.Source = (*link.Link)(nil)
	_ link.Spool   = (*spool.Spool)(nil)
	_ link.Clock   = (*playerclock.Clock)(nil)
)

// TestSettings: what changes connects anew; what is the same does not.
func TestSettings(t *testing.T) {
	a, b, p := newPorthole(t), newPorthole(t), newPlayer(t)
	p.to(a.settings())
	p.next()
	p.well()
	n := len(a.seen("/api/health"))
	p.to(a.settings())
	b.program = oneList("b.jpg")
	p.to(b.settings())
	if prog := p.next(); prog.Playlists[0].Items[0].FileName != "b.jpg" {
		t.Errorf("program %+v", prog)
	}
	p.well()
	if got := len(a.seen("/api/health")); got != n {
		t.Errorf("%d greetings", got)
	}
	for _, c := range b.seen("/")[:2] {
		if c.Bearer != "" {
			t.Errorf("b was told the auth code of a: %+v", c)
		}
	}
}
