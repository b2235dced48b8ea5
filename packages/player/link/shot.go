package link

import (
	"context"
	"net/http"
)

// maxShot is what a server takes (docs/architecture.md), in bytes.
const maxShot = 4 << 20

// shoot sends a picture of the screen to another Porthole, soon.
func (r *remote) shoot(ctx context.Context) {
	if r.l.cfg.Shot == nil {
		return
	}
	b, err := r.l.cfg.Shot()
	if err == nil && len(b) > 0 && len(b) <= maxShot {
		_, err = r.ask(ctx, question{method: http.MethodPost, path: r.own("screenshot"), body: b, contentType: "image/jpeg", bearer: r.kept.AuthCode})
	}
	if err != nil {
		r.l.cfg.Log.Warn("cannot send a picture of the screen to the signage server", "err", err)
	}
}
