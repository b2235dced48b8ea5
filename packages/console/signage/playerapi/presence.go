package playerapi

import (
	"context"
	"sync"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

const (
	// saveEvery is how often what players tell of themselves is written: a thousand of them must not wear the card out. Of one
	// that tells nothing new it is written every seenEvery that it is still there.
	saveEvery = time.Minute
	seenEvery = 30 * time.Minute
	// saveWithin bounds the last time, when the process ends.
	saveWithin = 5 * time.Second
)

// Presence is what is known of a player at this moment.
type Presence struct {
	LastSeen                       time.Time
	Address, Agent                 string
	Status, Message, Item          string
	PlayingVersion                 int64
	Screenshot                     time.Time
	LastPlain                      time.Time // when it last came without TLS; zero if never since the start
	PlainCount                     int
	IdentifyUntil, ScreenshotAsked time.Time
	// Follows says that it asked for its program since the start: it shows its name and sends pictures when it is asked to.
	Follows bool
}

// live is a player in memory.
type live struct {
	Presence
	shown   db.Shown
	step    int64     // how far the next version jumps; 0 means 1
	settled time.Time // auth codes made before are gone
	dirty   bool
	// kept and keptShown are what the database has.
	kept      signage.Player
	keptShown db.Shown
}

// row is what is written of a player.
func (l *live) row(id int64) signage.Player {
	return signage.Player{
		ID: id, LastSeen: l.LastSeen, Address: l.Address, Agent: l.Agent, Status: l.Status, Message: l.Message, Item: l.Item,
		PlayingVersion: l.PlayingVersion, Screenshot: l.Screenshot,
	}
}

// stale reports whether it is worth a write: whether more has changed than that the player is still there.
func (l *live) stale(row signage.Player) bool {
	return row.LastSeen.Sub(l.kept.LastSeen) >= seenEvery || l.shown != l.keptShown ||
		row.Address != l.kept.Address || row.Agent != l.kept.Agent || row.Status != l.kept.Status || row.Message != l.kept.Message ||
		row.Item != l.kept.Item || row.PlayingVersion != l.kept.PlayingVersion || row.Screenshot.Unix() != l.kept.Screenshot.Unix()
}

// presence holds what players tell of themselves. It is written now and then.
type presence struct {
	mu sync.Mutex
	of map[int64]*live // guarded by mu
}

func newPresence() *presence { return &presence{of: map[int64]*live{}} }

// on changes what is known of a player.
func (p *presence) on(id int64, f func(*live)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.of[id]
	if l == nil {
		l = &live{}
		p.of[id] = l
	}
	f(l)
}

// fill takes over what the database knows, unless something newer is known.
func (l *live) fill(row signage.Player) {
	if !l.LastSeen.IsZero() {
		return
	}
	l.LastSeen, l.Address, l.Agent = row.LastSeen, row.Address, row.Agent
	l.Status, l.Message, l.Item = row.Status, row.Message, row.Item
	l.PlayingVersion, l.Screenshot = row.PlayingVersion, row.Screenshot
	l.kept = l.row(row.ID)
}

// seen notes that a player was here.
func (p *presence) seen(who *player, address, agent string, plain bool) {
	p.on(who.ID, func(l *live) {
		l.fill(who.Player)
		l.LastSeen, l.Address, l.dirty = time.Now(), address, true
		if agent != "" {
			l.Agent = word(agent).short(maxWord)
		}
		if plain {
			l.LastPlain = l.LastSeen
			l.PlainCount++
		}
	})
}

// settle reports whether auth codes of a player that were made before have to be dropped: once for each code.
func (p *presence) settle(id int64, made time.Time) (drop bool) {
	p.on(id, func(l *live) {
		if drop = l.settled.Before(made); drop {
			l.settled = made
		}
	})
	return drop
}

func (p *presence) status(id int64) (s string) {
	p.on(id, func(l *live) { s = l.Status })
	if s == "" {
		s = "online"
	}
	return s
}

// Presence returns what is known of a player at this moment, zero for one that was not seen since the start.
func (a *API) Presence(id int64) Presence {
	a.presence.mu.Lock()
	defer a.presence.mu.Unlock()
	if l := a.presence.of[id]; l != nil {
		return l.Presence
	}
	return Presence{}
}

// PresenceAll is Presence of everybody who is known, by id.
func (a *API) PresenceAll() map[int64]Presence {
	a.presence.mu.Lock()
	defer a.presence.mu.Unlock()
	all := make(map[int64]Presence, len(a.presence.of))
	for id, l := range a.presence.of {
		all[id] = l.Presence
	}
	return all
}

// Identify asks a player to show its name until then; a time that is over takes that back.
func (a *API) Identify(id int64, until time.Time) {
	a.presence.on(id, func(l *live) { l.IdentifyUntil = until })
	a.news.tell()
}

// WantScreenshot asks a player for a picture of its screen.
func (a *API) WantScreenshot(id int64) {
	a.presence.on(id, func(l *live) { l.ScreenshotAsked = time.Now() })
	a.news.tell()
}

// keepPresence takes over what the last run kept, then saves until ctx ends.
func (a *API) keepPresence(ctx context.Context) error {
	if err := a.loadPresence(ctx); err != nil {
		a.c.Log.Warn("cannot read when players were seen last", "err", err)
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
			defer cancel()
			a.savePresence(last, true)
			return nil
		case <-tick.C:
			a.savePresence(ctx, false)
		}
	}
}

func (a *API) loadPresence(ctx context.Context) error {
	players, err := a.c.Store.Players(ctx)
	if err != nil {
		return err
	}
	shown, err := a.c.Store.Shown(ctx)
	if err != nil {
		return err
	}
	for _, row := range players {
		a.presence.on(row.ID, func(l *live) {
			l.fill(row)
			if l.shown.Version == 0 {
				l.shown, l.keptShown, l.step = shown[row.ID], shown[row.ID], restartStep
			}
		})
	}
	return nil
}

// savePresence writes what players have told since the last time; with all also when they were seen last.
func (a *API) savePresence(ctx context.Context, all bool) {
	var rows []signage.Player
	shown := map[int64]db.Shown{}
	a.presence.mu.Lock()
	for id, l := range a.presence.of {
		row := l.row(id)
		if !l.dirty || !all && !l.stale(row) {
			continue
		}
		l.dirty = false
		if l.shown != l.keptShown {
			shown[id] = l.shown
		}
		rows = append(rows, row)
	}
	a.presence.mu.Unlock()
	err := a.c.Store.SavePresence(ctx, rows)
	if err == nil {
		err = a.c.Store.SaveShown(ctx, shown)
	}
	if err != nil {
		a.c.Log.Warn("cannot keep when players were seen", "err", err)
	}
	for _, row := range rows {
		a.presence.on(row.ID, func(l *live) {
			if err != nil {
				l.dirty = true
				return
			}
			l.kept = row
			if s, ok := shown[row.ID]; ok {
				l.keptShown = s
			}
		})
	}
}
