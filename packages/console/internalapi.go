package main

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

// rtspRealm is the Digest realm that some Echos have built in.
const rtspRealm = "Streaming Server"

// internalHandler serves console-internal.sock, as docs/architecture.md says.
func (c *console) internalHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /settings/{process}", c.serveSettings)
	mux.HandleFunc("POST /auth", only(c.serveAuth, "proxy", "signaling"))
	mux.HandleFunc("GET /claim", only(c.serveClaimCode, "player"))
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
	if process == "proxy" {
		a, err := c.store.streamAccount(ctx, tx)
		if err != nil {
			return nil, err
		}
		return settings.Proxy{Revision: revision, Hostname: host, Cameras: cameras, Accounts: []settings.Account{{User: a.user, HA1: ha1(a)}}}, nil
	}
	refs := make([]settings.CameraRef, 0, len(cameras))
	for _, cam := range cameras {
		refs = append(refs, settings.CameraRef{ID: cam.ID, Name: cam.Name})
	}
	if process == "signaling" {
		return settings.Signaling{Revision: revision, Hostname: host, Cameras: refs}, nil
	}
	own, err := playerSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	refused, err := refusals(ctx, tx)
	if err != nil {
		return nil, err
	}
	return settings.Player{Revision: revision, Hostname: host, Cameras: refs, Settings: own, Notices: refused}, nil
}

// ha1 is what Digest needs instead of the password (RFC 2617 section 3.2.2.2).
func ha1(a streamAccount) string {
	sum := md5.Sum([]byte(a.user + ":" + rtspRealm + ":" + a.password))
	return hex.EncodeToString(sum[:])
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
		Claimed bool   `json:"claimed"`
		Code    string `json:"code,omitempty"`
	}{Claimed: owned}
	if !owned {
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
