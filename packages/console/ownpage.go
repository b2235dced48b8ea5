package main

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
)

func (c *console) ownRoutes() []route {
	return []route{
		{"GET /screen", admin, c.ownPage},
		{"GET /fragments/screen", admin, c.ownPage},
		{"GET /screen.jpg", admin, c.screenShot},
		{"POST /screen", admin, c.chooseScreen},
		{"POST /screen/server", admin, c.saveOwnServer},
		{"POST /screen/display", admin, c.saveOwnDisplay},
		{"POST /screen/governor", admin, c.saveGovernor},
		{"POST /screen/trust", admin, c.approveServer},
		{"POST /screen/retry", admin, c.retryServer},
	}
}

// ownView is the page of this device's own screen.
type ownView struct {
	// Away says why there is nothing to say of the screen, SystemAway of the device; both may be empty.
	Away, SystemAway string
	Card             *screenCard
	ScreenID         int64
	Now              ownNow
	Link             ownLink
	Trust            ownTrust
	Cache            ownCache
	// Device are the processor's facts, Troubles what slows it down.
	Device   []fact
	Troubles []string
	Clock    string
	Power    string
	Zone     string

	Server    ownServerForm
	Display   ownDisplayForm
	Governors []choice
}

// ownNow is what is on the screen.
type ownNow struct {
	State   state
	Lines   []string
	Facts   []fact
	Skipped []ownRow
}

// ownRow is a line of a list: when, what, and why.
type ownRow struct{ When, What, Why, Tone string }

// ownLink is how it goes with the server.
type ownLink struct {
	State         state
	To            string
	Problem, Step string
	Code, URI     string
	Facts         []fact
	LeftOut       []string
	CanRetry      bool
}

// ownTrust is whom the screen trusts.
type ownTrust struct {
	How                string
	Fingerprint, CA    string
	Pending, PendingCA string
	Log                []ownRow
}

// ownCache is what was downloaded.
type ownCache struct {
	Text, Problem string
	Fetching      string
	// Done of Size is of what comes in now, in bytes; Size is 0 where that is not known.
	Done, Size int64
	Failed     []ownRow
}

// ownFacts is what the page is made of.
type ownFacts struct {
	now      time.Time
	zone     *time.Location
	zoneName string
	host     string
	screen   playerStatus
	away     error
	hardware hardwareStatus
	sysAway  error
	settings settings.PlayerSettings
}

func (c *console) ownFacts(r *http.Request) (ownFacts, error) {
	ctx := r.Context()
	f := ownFacts{now: time.Now()}
	var wg sync.WaitGroup
	wg.Go(func() { f.screen, f.away = c.backends.screen.answer(ctx) })
	wg.Go(func() { f.hardware, f.sysAway = c.backends.hardware.answer(ctx) })
	wg.Wait()
	var err error
	if f.settings, err = playerSettings(ctx, c.store.r); err != nil {
		return f, err
	}
	if f.zoneName, err = timezone(ctx, c.store.r); err != nil {
		return f, err
	}
	f.zone, _ = program.Zone(f.zoneName)
	f.host, err = setting(ctx, c.store.r, "hostname")
	return f, err
}

func (c *console) ownPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	f, err := c.ownFacts(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.showOwn(w, r, http.StatusOK, id, f, newOwnServerForm(f), newOwnDisplayForm(f))
}

// showOwn shows the page, or its changing part, with the forms as they are.
func (c *console) showOwn(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, f ownFacts, server ownServerForm, display ownDisplayForm) {
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := ownView{
		Card: newScreenCard(f.screen, f.away, f.settings, cameras), Zone: f.zoneName, Clock: f.clock(), Power: f.power(),
		Now: f.nowShown(), Link: f.link(), Trust: f.trust(), Cache: f.cache(),
		Server: server, Display: display, Governors: f.governors(),
	}
	v.Device, v.Troubles = f.device()
	if f.away != nil {
		v.Away = v.Card.Away
	}
	if f.sysAway != nil {
		v.SystemAway = "system does not answer, so temperature and power are not known. It may be restarting; this page keeps asking."
	}
	if isFragment(r) {
		c.renderPart(w, r, "own", "live", v)
		return
	}
	if v.ScreenID, err = c.ownID(r.Context()); err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, status, "own", page{Title: "Screen", User: id, Body: v})
}

// at says a time of day, and the day where that is another one than today.
func (f ownFacts) at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t, now := t.In(f.zone), f.now.In(f.zone)
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 2006, 15:04")
}

// rows are things that went wrong, with when and why.
func (f ownFacts) rows(list []skippedItem) (rows []ownRow) {
	for _, s := range list {
		rows = append(rows, ownRow{When: f.at(s.Time), What: printable(s.Name), Why: printable(s.Reason)})
	}
	return rows
}

// governors are the choices of how the kernel sets the processor's speed; none where it cannot be changed.
func (f ownFacts) governors() []choice {
	h := f.hardware
	if len(h.Governors) == 0 {
		return nil
	}
	usual := "the usual one"
	if h.Usual != "" {
		usual += ": " + h.Usual
	}
	list := []choice{{Value: "", Text: usual, Chosen: h.Chosen == ""}}
	for _, g := range h.Governors {
		text := g
		if says := governorWords[g]; says != "" {
			text += ": " + says
		}
		list = append(list, choice{Value: g, Text: text, Chosen: g == h.Chosen})
	}
	return list
}

// governorWords say what governors do (Documentation/admin-guide/pm/cpufreq.rst, "Generic Scaling Governors").
var governorWords = map[string]string{
	"performance":  "always as fast as it can",
	"powersave":    "always as slow as it can",
	"ondemand":     "fast at once when there is work",
	"conservative": "faster step by step when there is work",
	"schedutil":    "as fast as the scheduler finds needed",
}

// count says how many there are of something, with its plural's s.
func count[T int | uint64](n T, what string) string {
	text := strconv.FormatInt(int64(n), 10) + " " + what
	if n != 1 {
		text += "s"
	}
	return text
}
