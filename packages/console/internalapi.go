package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

// internalHandler serves console-internal.sock, as docs/architecture.md says.
func (c *console) internalHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /settings/{process}", c.serveSettings)
	mux.HandleFunc("POST /auth", only(c.serveAuth, "proxy", "signaling"))
	mux.HandleFunc("GET /claim", only(c.serveClaimCode, "player"))
	// This is how the own screen pairs with its own server: by the uid of its process, without a code and without TLS.
	mux.Handle("/signage/", only(c.players.Own(c.ownID).ServeHTTP, "player"))
	return c.recoverer(mux)
}

// only lets the named processes, and root, through.
func only(h http.HandlerFunc, names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		peer, ok := unixsock.PeerOf(r.Context())
		for _, n := range names {
			if ok && peer.Is(n) {
				h(w, r)
				return
			}
		}
		writeJSON(w, http.StatusForbidden, map[string]string{"error": "not for this process"})
	}
}

func (c *console) serveSettings(w http.ResponseWriter, r *http.Request) {
	process := r.PathValue("process")
	switch process {
	case "proxy", "signaling", "player":
	default:
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "there are no settings for " + strconv.Quote(process)})
		return
	}
	only(func(w http.ResponseWriter, r *http.Request) {
		after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "after must be the revision you have, 0 for none"})
			return
		}
		wait, cancel := context.WithTimeout(r.Context(), c.longPoll)
		defer cancel()
		news, err := c.store.waitOther(wait, after)
		if err != nil {
			c.internalFailed(w, r, err)
			return
		}
		if !news {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		v, err := c.view(r.Context(), process)
		if err != nil {
			c.internalFailed(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, v)
	}, process)(w, r)
}

// view returns what the process is told, all of one revision.
func (c *console) view(ctx context.Context, process string) (any, error) {
	tx, err := c.store.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("begin reading settings: %w", err)
	}
	defer undo(tx)
	revision, err := c.store.revision(ctx, tx)
	if err != nil {
		return nil, err
	}
	host, err := setting(ctx, tx, "hostname")
	if err != nil {
		return nil, err
	}
	cameras, err := c.cameras(ctx, tx)
	if err != nil {
		return nil, err
	}
	around, err := readProxySettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	if process == "proxy" {
		return c.proxyView(ctx, tx, settings.Proxy{
			Revision: revision, Hostname: host, PublicName: around.PublicName, Cameras: cameras, Access: around.Access,
			PlainHTTP: around.PlainHTTP, TestSocket: around.TestSocket,
		})
	}
	refs := make([]settings.CameraRef, 0, len(cameras))
	for _, cam := range cameras {
		ref := settings.CameraRef{ID: cam.ID, Name: cam.Name}
		if n := streamCount(cam); n > 1 {
			ref.Streams = n
		}
		refs = append(refs, ref)
	}
	if process == "signaling" {
		live, err := liveView(ctx, tx, around.PublicName)
		return settings.Signaling{Revision: revision, Hostname: host, Cameras: refs, SignalingPort: around.SignalingPort, Live: live}, err
	}
	return c.playerView(ctx, tx, settings.Player{Revision: revision, Hostname: host, Cameras: refs})
}

// playerView adds to v what the screen shows, when, and from where.
func (c *console) playerView(ctx context.Context, q querier, v settings.Player) (_ settings.Player, err error) {
	if v.Settings, err = playerSettings(ctx, q); err != nil {
		return v, err
	}
	if v.Notices, err = refusals(ctx, q); err != nil {
		return v, err
	}
	if v.Timezone, err = timezone(ctx, q); err != nil {
		return v, err
	}
	v.Identify, err = c.ownIdentify(ctx, q)
	return v, err
}

// proxyView adds to v what lets readers in, without passwords and tokens.
func (c *console) proxyView(ctx context.Context, q querier, v settings.Proxy) (settings.Proxy, error) {
	accounts, err := c.store.streamAccounts(ctx, q)
	if err != nil {
		return v, err
	}
	for _, a := range accounts {
		v.Accounts = append(v.Accounts, a.forProxy())
	}
	tokens, err := streamTokens(ctx, q)
	if err != nil {
		return v, err
	}
	for i, cam := range v.Cameras {
		for _, t := range tokens[cam.ID] {
			v.Cameras[i].TokenHashes = append(v.Cameras[i].TokenHashes, hex.EncodeToString(tokenHash(t)))
		}
	}
	return v, nil
}

func (c *console) serveAuth(w http.ResponseWriter, r *http.Request) {
	var creds identity.Credentials
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&creds); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "send cookie, authorization and remote as JSON"})
		return
	}
	id, err := c.auth.identify(r.Context(), creds)
	if d, denied := asDenied(err); denied {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": d.reason})
		return
	}
	if err != nil {
		c.internalFailed(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, id)
}

func (c *console) serveClaimCode(w http.ResponseWriter, r *http.Request) {
	owned, err := claimed(r.Context(), c.store.r)
	if err != nil {
		c.internalFailed(w, r, err)
		return
	}
	answer := struct {
		Claimed   bool      `json:"claimed"`
		Code      string    `json:"code,omitempty"`
		OpenUntil time.Time `json:"open_until,omitzero"`
		Closed    bool      `json:"closed,omitempty"`
		Restart   string    `json:"restart,omitempty"`
	}{Claimed: owned}
	switch left := c.claimLeft(); {
	case owned:
	case left <= 0:
		answer.Closed, answer.Restart = true, c.restartWords()
	default:
		answer.OpenUntil = time.Now().Add(left).UTC().Truncate(time.Second)
		if answer.Code, err = c.store.claimCode(r.Context(), c.store.r); err != nil {
			c.internalFailed(w, r, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

func (c *console) internalFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		c.log.Error("internal call failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "console cannot answer this; its log says why"})
}
