package link

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"porthole/packages/internal/program"
)

// followDigiServer asks an original server for its playlist, and waits until it is time to ask again.
func (r *remote) followDigiServer(ctx context.Context) error {
	if !r.rested {
		r.l.wait(ctx, r.l.poll)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.rested = false
	a, err := r.playlist(ctx)
	if err != nil {
		return err
	}
	list, err := parsePlaylist(a.body)
	if err != nil {
		return err
	}
	if r.nameless && list.PlayerID > 0 {
		r.kept.PlayerID, r.kept.PlayerName = list.PlayerID, list.PlayerName
	}
	p, leftOut := list.program()
	p.PlayerID, p.Orientation = r.kept.PlayerID, r.kept.Orientation
	if p.PlayerName == "" {
		p.PlayerName = r.kept.PlayerName
	}
	if err := r.number(&p, list.Version); err != nil {
		return err
	}
	r.settle(a)
	r.l.deliver(p, leftOut)
	r.beat(ctx)
	return nil
}

// playlist asks for the playlist: by the auth code, or where the server does not know that, by hostname and code in the query,
// which is the only way left (document 001).
func (r *remote) playlist(ctx context.Context) (*answer, error) {
	var missing error
	if !r.nameless {
		a, err := r.ask(ctx, question{
			method: http.MethodGet, path: "/api/playlists/" + strconv.FormatInt(r.kept.PlayerID, 10), bearer: r.kept.AuthCode, most: maxProgram,
		})
		if r.s.code == "" || !isStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed) {
			return a, err
		}
		missing = err
	}
	query := url.Values{"hostname": {r.s.hostname}, "quickconnect_code": {r.s.code}}.Encode()
	a, err := r.ask(ctx, question{method: http.MethodGet, path: "/api/playlists?" + query, bearer: r.kept.AuthCode, most: maxProgram})
	switch {
	case err == nil:
		r.nameless = true
	case missing != nil && isStatus(err, http.StatusNotFound, http.StatusMethodNotAllowed):
		return nil, missing
	}
	return a, err
}

// number gives a program a revision that grows whenever it is another one: an original server's version may be that of another
// playlist, or none.
func (r *remote) number(p *program.Program, version int64) error {
	p.Revision, p.Playlists[0].Version = 0, version
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode program: %w", err)
	}
	sum := sha256.Sum256(b)
	if digest := hex.EncodeToString(sum[:16]); digest != r.kept.Digest {
		r.kept.Digest, r.kept.Revision = digest, max(r.kept.Revision+1, version)
		r.l.saveKept(r.kept)
	}
	p.Revision = r.kept.Revision
	return nil
}

// beat tells an original server that all is as before: it knows of a screen only what it is told. What cannot be told is not
// kept, as the next one says the same.
func (r *remote) beat(ctx context.Context) {
	if time.Since(r.beaten) < r.l.beat {
		return
	}
	r.l.mu.Lock()
	said := r.l.said
	r.l.mu.Unlock()
	if said.Status == "" {
		said.Status, said.Message = "playing", "Connected"
	}
	said.Time = r.l.cfg.Clock.Now()
	r.beaten = time.Now()
	if err := r.tell(ctx, newReport(said)); err != nil {
		r.l.cfg.Log.Debug("the signage server does not take the sign of life", "err", err)
	}
}
