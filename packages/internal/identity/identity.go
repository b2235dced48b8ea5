// Package identity says who is behind a request. console decides it, proxy and signaling ask and carry it.
package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"porthole/packages/internal/unixsock"
)

// Header carries an identity from proxy to the process it forwards to. proxy removes it from what clients send.
const Header = "Porthole-Identity"

// Role is what an account may do.
type Role string

// The roles, from most to least.
const (
	Admin  Role = "admin"
	Editor Role = "editor"
	Viewer Role = "viewer"
)

// Scope is something that a token may be used for.
type Scope string

// The scopes of tokens.
const (
	ScopeView    Scope = "view"    // watch cameras
	ScopeMetrics Scope = "metrics" // read /metrics
	ScopeUpload  Scope = "upload"  // put media into the library
	ScopeUpdate  Scope = "update"  // bring updates of the device's software
)

// Identity is an authenticated user.
type Identity struct {
	User string `json:"user"`
	Role Role   `json:"role"`
	// Cameras that may be seen, by id; nil means all, and an empty list means none: the two differ in JSON as well.
	Cameras []string `json:"cameras,omitzero"`
	// Scopes are what a token is good for; nil means that this is a person, who may do what the role says. Who holds a token
	// is always a Viewer: no token administrates.
	Scopes []Scope `json:"scopes,omitzero"`
}

// Has reports whether the identity is a token of that scope.
func (i Identity) Has(s Scope) bool { return i.User != "" && slices.Contains(i.Scopes, s) }

// MaySee reports whether the identity may watch the camera.
func (i Identity) MaySee(camera string) bool {
	return i.User != "" && (i.Scopes == nil || i.Has(ScopeView)) && (i.Cameras == nil || slices.Contains(i.Cameras, camera))
}

// MayMeasure reports whether the identity may read the metrics, which name every camera.
func (i Identity) MayMeasure() bool {
	return i.Has(ScopeMetrics) || i.User != "" && i.Scopes == nil && i.Cameras == nil
}

// ErrDenied means that the credentials are missing, wrong or expired.
var ErrDenied = errors.New("not logged in")

// Credentials are what a request carries, as it came.
type Credentials struct {
	Cookie        string `json:"cookie,omitempty"`
	Authorization string `json:"authorization,omitempty"`
	// Remote is the client's address without port, for rate limits and the log.
	Remote string `json:"remote,omitempty"`
	// Near says that the client is on a network of the device's own.
	Near bool `json:"near,omitempty"`
}

// FromRequest takes the credentials of a request from the client at remote.
func FromRequest(r *http.Request, remote string) Credentials {
	return Credentials{Cookie: r.Header.Get("Cookie"), Authorization: r.Header.Get("Authorization"), Remote: remote}
}

// Asker asks console who somebody is.
type Asker struct{ console *unixsock.Client }

// NewAsker returns an Asker on console's internal socket.
func NewAsker(console *unixsock.Client) *Asker { return &Asker{console} }

// Ask returns the identity behind c: ErrDenied when there is none, another error when console cannot be asked.
func (a *Asker) Ask(ctx context.Context, c Credentials) (Identity, error) {
	if c.Cookie == "" && c.Authorization == "" {
		return Identity{}, ErrDenied
	}
	var id Identity
	status, err := a.console.Call(ctx, http.MethodPost, "/auth", c, &id)
	if status == http.StatusUnauthorized {
		return Identity{}, ErrDenied
	}
	if err != nil {
		return Identity{}, fmt.Errorf("ask console who this is: %w", err)
	}
	return id, nil
}

// Set puts the identity on a request that proxy forwards.
func Set(h http.Header, id Identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	h.Set(Header, base64.StdEncoding.EncodeToString(b))
	return nil
}

// Of reads what Set wrote. Call it only for requests whose peer is proxy. ErrDenied: there is none.
func Of(h http.Header) (Identity, error) {
	v := h.Get(Header)
	if v == "" {
		return Identity{}, ErrDenied
	}
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return Identity{}, fmt.Errorf("decode header %s: %w", Header, err)
	}
	var id Identity
	if err := json.Unmarshal(b, &id); err != nil {
		return Identity{}, fmt.Errorf("decode header %s: %w", Header, err)
	}
	return id, nil
}
