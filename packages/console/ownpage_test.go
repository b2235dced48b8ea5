package main_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/settings"
)

const (
	oldPrint = "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA"
	newPrint = "BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB:BB"
)

// playerFake stands where player does and speaks the JSON of docs/architecture.md.
type playerFake struct {
	mu       sync.Mutex
	status   map[string]any
	approved []string
	retries  int
	// shot is what is on the screen.
	shot []byte
}

// busyPlayer has something to say on everything.
func busyPlayer() *playerFake {
	now := time.Now()
	return &playerFake{status: map[string]any{
		"display": map[string]any{
			"kind": "planes", "driver": "vc4", "connector": "HDMI-A-1", "connected": true, "width": 1920, "height": 1080,
			"mode": "1920x1080 at 60 Hz", "modes": []string{"1920x1080@60", "1920x1080@50", "3840x2160@29.97", "nonsense"}, "monitor": "SAM <The Frame>",
		},
		"showing": "video", "presented": 8123, "dropped": 2, "problems": []string{"No network <yet>."},
		"playback": map[string]any{
			"playing": true, "playlist_name": "Lunch <menu>", "rule": 3, "until": now.Add(time.Hour),
			"item":    map[string]any{"kind": "video", "name": "Bakery tour.mp4", "since": now.Add(-time.Minute), "presented": 1780, "dropped": 2},
			"next":    map[string]any{"kind": "image", "name": "Summer sale.jpg"},
			"skipped": []any{map[string]any{"name": "Broken <b>.mp4", "reason": "the file ends in the middle", "time": now}},
			"gaps":    map[string]any{"changes": 412, "late": 3, "max": 2}, "restarts": 1, "last_restart": "no frame was presented for 10 s",
		},
		"link": map[string]any{
			"kind": "digiserver", "server": "https://signage.example.com", "connected": false, "last_contact": now.Add(-time.Hour), "problem": "The server refuses the <code>.",
			"step": "Make a new code there.", "cause": "auth", "attempts": 17, "next": now.Add(time.Minute), "player_name": "Window", "fingerprint": oldPrint, "trust": "pinned key",
			"pending": newPrint, "left_out": []string{"a camera"}, "spooled": 4, "lost": 1,
		},
		"cache": map[string]any{
			"revision": 5, "coming": 6, "files": 12, "bytes": 340_000_000, "missing": 3, "missing_bytes": 120_000_000, "limit": 20_000_000_000, "fetching": "Tour <2>.mp4", "done": 30, "size": 120,
			"problem": "The card is full.", "failed": []any{map[string]any{"name": "Gone.jpg", "reason": "the server does not have it", "time": now}},
		},
		"clock": map[string]any{"now": now, "source": "server"},
		"trust": []any{map[string]any{"time": now, "server": "signage.example.com", "action": "refused", "fingerprint": newPrint, "detail": "Another <certificate>."}},
		"power": map[string]any{"on": true, "next": now.Add(2 * time.Hour), "note": "Its <hours> wait."},
	}}
}

func (p *playerFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mux := http.NewServeMux()
	mux.Handle("/", playerWith("\xff\xd8picture"))
	if p.shot != nil {
		mux.HandleFunc("GET /screen.jpg", func(w http.ResponseWriter, _ *http.Request) { w.Write(p.shot) })
	}
	mux.HandleFunc("GET /status", jsonHandler(p.status))
	mux.HandleFunc("POST /trust/approve", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Fingerprint string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Fingerprint != newPrint {
			http.Error(w, `{"error":"no certificate with this fingerprint waits"}`, http.StatusConflict)
			return
		}
		p.approved = append(p.approved, in.Fingerprint)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /link/retry", func(w http.ResponseWriter, r *http.Request) {
		p.retries++
		w.WriteHeader(http.StatusNoContent)
	})
	mux.ServeHTTP(w, r)
}

// change changes a part of what it says.
func (p *playerFake) change(part string, values map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := maps.Clone(p.status)
	if values == nil {
		delete(now, part)
	} else {
		now[part] = values
	}
	p.status = now
}

// hardwareFake stands where system does, with a processor.
type hardwareFake struct {
	*system
	mu     sync.Mutex
	report map[string]any
	chosen []string
}

func (h *hardwareFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mux := http.NewServeMux()
	mux.Handle("/", h.system)
	mux.HandleFunc("GET /hardware", jsonHandler(h.report))
	mux.HandleFunc("POST /governor", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Governor string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Governor == "warp" {
			http.Error(w, `{"error":"no"}`, http.StatusUnprocessableEntity)
			return
		}
		h.chosen = append(h.chosen, in.Governor)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.ServeHTTP(w, r)
}

func hotDevice(t *testing.T) *hardwareFake {
	return &hardwareFake{system: newSystem(t), report: map[string]any{
		"temperature_millicelsius": 81500, "hottest_millicelsius": 84000, "khz": 1000000, "max_khz": 1800000, "governor": "ondemand", "chosen": "ondemand", "usual": "performance",
		"governors": []string{"ondemand", "performance", "odd"},
		"now":       map[string]bool{"throttled": true}, "since_start": map[string]bool{"throttled": true, "under_voltage": true},
	}}
}

// playerIs is what player is told.
func (d *device) playerIs() settings.Player {
	d.t.Helper()
	var now settings.Player
	if _, err := d.internal().Call(d.t.Context(), http.MethodGet, "/settings/player?after=0", nil, &now); err != nil {
		d.t.Fatal(err)
	}
	return now
}

// TestOwnPage: everything that player and system say stands on the page, in words, and nothing of it as markup.
func TestOwnPage(t *testing.T) {
	d := newDevice(t)
	p, h := busyPlayer(), hotDevice(t)
	d.peer("player", p)
	d.peer("system", h)
	d.start()
	b := d.claimed()
	other := []string{"follow", "other", "server", "https://Signage.example.com/", "trust", "first"}
	if a := b.post("/screen/server", other...); a.status != http.StatusSeeOther {
		t.Fatalf("follow another: %d\n%s", a.status, a.body)
	}
	page := b.get("/screen")
	checkPage(t, "/screen", page)
	expect(t, "the page", page.body, `pill good">playing<`, "Lunch &lt;menu&gt;, planned", "Bakery tour.mp4 (video)", "1780, 2 dropped", "Summer sale.jpg (image)", "8123, 2 dropped",
		"412 changes, 3 late, by 2 refreshes at most", "1 time: no frame was presented for 10 s", "Broken &lt;b&gt;.mp4", "the file ends in the middle", "No network &lt;yet&gt;.",
		`pill bad">stopped: another certificate<`, "A DigiServer, https://signage.example.com", "refuses the &lt;code&gt;", "Make a new code there.", "17 times", "4 reports", "1 report<", "Window",
		`action="/screen/retry"`, "a camera</li>", `name="fingerprint" value="`+newPrint+`"`, oldPrint, "By its key, which was pinned.", "refused, signage.example.com", "Another &lt;certificate&gt;. SHA-256 "+newPrint,
		"12 files here, 340 MB of at most 20.0 GB. Still to come: 3 files, 120 MB", "The card is full.", `<progress id="fetching" max="100" value="25">`, "Tour &lt;2&gt;.mp4, 25 %", "Gone.jpg",
		"from the signage server, as the network has not told the time yet", ">on until", ". Its &lt;hours&gt; wait.", "81.5 °C, at most 84.0 °C since the start", "1000 of 1800 MHz, governor ondemand",
		"The processor is slowed down now.", "The power supply was too weak for moments since the start.", "!The temperature",
		`<option value="">the usual one: performance</option>`, `<option value="ondemand" selected>ondemand: fast at once when there is work</option>`, `<option value="odd">odd</option>`,
		`<option value="" selected>the display’s own choice</option><option value="1920x1080@60">1920 × 1080, 60 Hz</option><option value="1920x1080@50">`, "3840 × 2160, 29.97 Hz", "!nonsense",
		"!<b>", `checked><label for="follow-other"`, `action="/screens/1/identify"`)
	fragment := b.get("/fragments/screen")
	expect(t, "the fragment", fragment.body, "Bakery tour.mp4", "!<html", "!<form method=\"post\" action=\"/screen/server\"")

	expect(t, "as a screen", b.get("/screens/1").body, "Shows Bakery tour.mp4 (video). Follows https://signage.example.com, not this device.", `href="/screen">Details`)
	expect(t, "the settings", b.get("/settings").body, `href="/screen"`)
	expect(t, "home", b.get("/").body, `href="/screen">Details`)

	// What is asked of the others.
	b.post("/screen/trust", "fingerprint", oldPrint)
	expect(t, "a fingerprint that does not wait", b.get("/screen").body, "Nothing was approved: the server shows another certificate by now")
	b.post("/screen/trust", "fingerprint", newPrint)
	expect(t, "approved", b.get("/screen").body, "Approved. The screen takes the server")
	b.post("/screen/retry")
	b.post("/screen/governor", "governor", "performance")
	expect(t, "governor", b.get("/screen").body, "Saved. The processor follows this now")
	b.post("/screen/governor", "governor", "")
	if a := b.post("/screen/governor", "governor", "warp"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown governor: %d", a.status)
	}
	p.mu.Lock()
	if !slices.Equal(p.approved, []string{newPrint}) || p.retries != 1 || !slices.Equal(h.chosen, []string{"performance", ""}) {
		t.Errorf("approved %q, retried %d times, governors %q", p.approved, p.retries, h.chosen)
	}
	p.mu.Unlock()
	if log := d.log.String(); !strings.Contains(log, "certificate was approved") || !strings.Contains(log, newPrint) {
		t.Error("who approved what is not in the log")
	}
}

// TestOwnPageStates: the words for what else there may be to say.
func TestOwnPageStates(t *testing.T) {
	d := newDevice(t)
	p := &playerFake{status: map[string]any{"display": map[string]any{"kind": "planes", "connector": "HDMI-A-1"}}}
	d.start()
	b := d.claimed()
	page := b.get("/screen")
	checkPage(t, "/screen", page)
	expect(t, "nobody answers", page.body, "player does not answer", "system does not answer, so temperature", "This device’s own server", "!Processor</h2>", `checked><label for="follow-own"`)
	for name, path := range map[string]string{"approve": "/screen/trust", "retry": "/screen/retry"} {
		b.post(path, "fingerprint", newPrint)
		expect(t, name+" without player", b.get("/screen").body, "player does not answer. Try again in a moment.")
	}
	b.post("/screen/governor", "governor", "performance")
	expect(t, "governor without system", b.get("/screen").body, "Nothing was changed: system did not do it.")

	d.peer("player", p)
	h := &hardwareFake{system: newSystem(t), report: map[string]any{}}
	d.peer("system", h)
	eventually(t, "system answers", func() bool {
		return strings.Contains(b.get("/fragments/screen").body, "nothing watches it on this machine")
	})
	say := func(name, part string, values map[string]any, wants ...string) {
		t.Helper()
		p.change(part, values)
		eventually(t, name+": "+wants[0], func() bool { return strings.Contains(b.get("/fragments/screen").body, wants[0]) })
		expect(t, name, b.get("/screen").body, wants...)
	}
	say("a new device", "x", nil, `pill busy">nothing to play<`, "The status screen is shown until", "No display is plugged in", "Nothing has been downloaded.", "Its own server is on this device and needs no certificate",
		"nothing watches it on this machine", `pill busy">connecting<`, "!Passed over", "!The server shows another certificate", "!Every decision")
	say("connected", "link", map[string]any{"kind": "own", "connected": true}, `pill good">connected<`)
	say("no gaps", "playback", map[string]any{"playing": true, "playlist_name": "", "interrupt": 1, "gaps": map[string]any{"changes": 1}}, "1 change, none late", "without a name, an interruption")
	say("off", "power", map[string]any{"on": false, "off": "signal"}, `pill muted">switched off for now<`, "<dd>off</dd>")
	say("black", "power", map[string]any{"on": false, "off": "black"}, "<dd>black</dd>", `pill muted">switched off for now<`)
	say("on", "power", map[string]any{"on": true}, `pill good">playing<`)
	say("no time", "clock", map[string]any{"now": time.Now(), "source": "last known"}, "neither network nor server has told it yet")
	say("the time", "clock", map[string]any{"now": time.Now(), "source": "system"}, "from the network<")

	b.post("/screen/server", "follow", "other", "server", "https://h", "trust", "first")
	say("pairing", "link", map[string]any{"kind": "porthole", "pairing_code": "BCDF-2345", "pairing_uri": "https://h/screens/pair"}, `pill busy">waits to be paired<`, "Another Porthole, https://h",
		`<strong class="usercode">BCDF-2345</strong>`, `<a href="https://h/screens/pair">`, "It has not shown a certificate yet.")
	say("a bad address", "link", map[string]any{"kind": "porthole", "pairing_code": "BCDF-2345", "pairing_uri": "javascript:alert(1)"}, "at javascript:alert(1)", "BCDF-2345", "!href=\"javascript:", "!ZgotmplZ")
	say("half well", "link", map[string]any{"connected": true, "problem": "The playlist is empty.", "fingerprint": oldPrint, "trust": "public"}, "The playlist is empty.", `pill busy">connected, but<`, "A public authority vouches for it.")
	say("not recognized", "link", map[string]any{"problem": "x", "fingerprint": oldPrint}, "It is not recognized.", `pill bad">not connected<`)
	b.post("/screen/server", "follow", "other", "server", "http://h", "trust", "first")
	expect(t, "without TLS", b.get("/screen").body, "Nobody vouches for it: the address begins with http://.")
	b.post("/screen", "show", "status", "back", "/screen")
	expect(t, "status", b.get("/screen").body, `pill muted">shows its status<`, "The screen shows this now: Status")
	if a := b.post("/screen", "show", "status", "back", "https://evil.example"); a.location != "/" {
		t.Errorf("back to %q", a.location)
	}
}
