package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// handshake is how often TLS did not come about with a client, as proxy says.
type handshake struct {
	Address string    `json:"address"`
	Reason  string    `json:"reason"`
	Count   uint64    `json:"count"`
	Last    time.Time `json:"last"`
}

// present puts what is known of the players at this moment into the list.
func (c *console) present(list []signage.Player) {
	now := c.players.PresenceAll()
	for i := range list {
		p := &list[i]
		l, ok := now[p.ID]
		if !ok || l.LastSeen.IsZero() {
			continue
		}
		p.LastSeen, p.Address, p.Agent, p.Status, p.Message, p.Item = l.LastSeen, l.Address, l.Agent, l.Status, l.Message, l.Item
		p.PlayingVersion = l.PlayingVersion
		if !l.Screenshot.IsZero() {
			p.Screenshot = l.Screenshot
		}
	}
}

// turnedAway lists who was refused, by proxy and by the player API.
func (c *console) turnedAway(failed []handshake, now time.Time) []knocker {
	var list []knocker
	for _, h := range failed {
		list = append(list, knocker{address: h.Address, tls: true, reason: h.Reason, count: h.Count, last: h.Last})
	}
	for _, r := range c.players.Refusals() {
		if r.Status == http.StatusNotFound {
			continue // nothing needs to be done
		}
		list = append(list, knocker{
			hostname: r.Hostname, address: r.Address, status: r.Status, reason: r.Reason, advice: r.Advice, count: uint64(r.Count), last: r.Last,
		})
	}
	return recentKnocks(list, now)
}

// identifies reports whether a screen can be told to show its name: the own one, and Portholes that follow this one.
func (c *console) identifies(p signage.Player) bool {
	return p.Own || c.players.Presence(p.ID).Follows
}

// identifyScreen lets a screen show its name for a while.
func (c *console) identifyScreen(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok {
		return
	}
	if !c.identifies(p) {
		c.sorry(w, r, http.StatusUnprocessableEntity, "Not possible", "This player cannot show its name: only Porthole's own can, once they were seen.")
		return
	}
	until := time.Now().Add(identifyFor)
	c.players.Identify(p.ID, until)
	if p.Own {
		if err := c.store.change(r.Context(), func(tx *sql.Tx) error { return putIdentify(r.Context(), tx, until) }); err != nil {
			c.failed(w, r, err)
			return
		}
	}
	c.log.Info("screen shows its name", "screen", p.ID, "account", id.User)
	c.back(w, r, "/screens/"+idText(p.ID), p.Name+" shows its name for half a minute.")
}

const identifyKey = "identify_until"

func putIdentify(ctx context.Context, tx *sql.Tx, until time.Time) error {
	return setSetting(ctx, tx, identifyKey, until.UTC().Format(time.RFC3339))
}

// ownIdentify is what the own screen is to show over everything.
func (c *console) ownIdentify(ctx context.Context, q querier) (settings.Identify, error) {
	v, err := setting(ctx, q, identifyKey)
	if err != nil || v == "" {
		return settings.Identify{}, err
	}
	until, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return settings.Identify{}, fmt.Errorf("read until when the screen shows its name: %w", err)
	}
	if time.Now().After(until) {
		return settings.Identify{}, nil
	}
	var name string
	if err := q.QueryRowContext(ctx, "SELECT coalesce(max(name), '') FROM players WHERE own = 1").Scan(&name); err != nil {
		return settings.Identify{}, fmt.Errorf("read the own screen's name: %w", err)
	}
	return settings.Identify{Text: name, Until: until}, nil
}

// signageCard is what the home page says of the screens.
type signageCard struct {
	Count string
	// Troubled are the screens to look after, at most a few; More says that there are more.
	Troubled []troubledScreen
	More     string
	// Strangers is how many devices were turned away that belong to no screen.
	Strangers string
}

type troubledScreen struct {
	ID    int64
	Name  string
	State state
	Why   string
}

// maxTroubled bounds the list on the home page.
const maxTroubled = 5

func (c *console) signageCard(r *http.Request) (*signageCard, error) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		return nil, err
	}
	card := &signageCard{Count: s.summary()}
	for _, p := range s.players {
		if !s.troubled(p) {
			continue
		}
		if len(card.Troubled) == maxTroubled {
			card.More = "and more"
			break
		}
		t := troubledScreen{ID: p.ID, Name: p.Name, State: s.state(p)}
		if k := s.knocksOf(p); len(k) > 0 {
			t.Why = k[0].What
		}
		card.Troubled = append(card.Troubled, t)
	}
	switch n := len(s.strangers()); n {
	case 0:
	case 1:
		card.Strangers = "One more device was turned away in the last day."
	default:
		card.Strangers = fmt.Sprintf("%d more devices were turned away in the last day.", n)
	}
	return card, nil
}

// ownID returns the id of the device's own screen.
func (c *console) ownID(ctx context.Context) (int64, error) {
	own, err := c.signage.Own(ctx)
	return own.ID, err
}
