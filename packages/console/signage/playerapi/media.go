package playerapi

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const (
	// week is how long addresses of media stay the same; each is good for one to two weeks, so that answers to players are equal
	// byte by byte for days.
	week = 7 * 24 * time.Hour
	// macSize is how much of the MAC an address carries, in bytes: half of it, as RFC 2104 section 5 asks for at least.
	macSize = 16
	// mediaFor is for how long a player may believe that a file stays the same.
	mediaFor = "private, max-age=1209600, immutable"
)

// capability lets a player fetch one thing without saying who it is: players in the field send no header with media.
type capability struct {
	player int64
	// media is the id of a medium; text that of a text's picture, where media is 0.
	media   int64
	text    uint64
	expires time.Time
}

// mediaURL is the address of a medium for a player, on the host and port that it asked.
func (a *API) mediaURL(r *http.Request, c capability, name string, now time.Time) string {
	c.expires = expiry(c.player, now)
	return base(r) + "/api/media/" + a.seal(c) + "/" + url.PathEscape(name)
}

// expiry is one to two weeks after now, the same for a week. Players change weeks at different times.
func expiry(player int64, now time.Time) time.Time {
	shift := time.Duration(uint64(player)*7919%uint64(week/time.Hour)) * time.Hour
	since := time.Duration(now.Unix())*time.Second + shift
	return time.Unix(int64((since/week*week+2*week-shift)/time.Second), 0)
}

// seal writes a capability down: what it says, and a MAC that only we can make.
func (a *API) seal(c capability) string {
	b := binary.AppendUvarint(nil, uint64(c.player))
	b = binary.AppendUvarint(b, uint64(c.media))
	b = binary.AppendUvarint(b, c.text)
	b = binary.AppendUvarint(b, uint64(c.expires.Unix()/3600))
	return base64.RawURLEncoding.EncodeToString(append(b, a.mac(b)...))
}

func (a *API) mac(b []byte) []byte {
	m := hmac.New(sha256.New, a.c.Key)
	m.Write([]byte("media\x00"))
	m.Write(b)
	return m.Sum(nil)[:macSize]
}

// open reads what seal wrote; false when it did not, or when it is over.
func (a *API) open(token string, now time.Time) (capability, bool) {
	var c capability
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= macSize {
		return c, false
	}
	b, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(mac, a.mac(b)) {
		return c, false
	}
	var v [4]uint64
	for i := range v {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return c, false
		}
		v[i], b = n, b[size:]
	}
	c = capability{player: int64(v[0]), media: int64(v[1]), text: v[2], expires: time.Unix(int64(v[3])*3600, 0)}
	return c, len(b) == 0 && now.Before(c.expires)
}

var noMedia = &problem{status: http.StatusNotFound, text: "this address is not good, or not any more; ask for the playlist again and use its addresses"}

// media is GET and HEAD /api/media/TOKEN/NAME.
func (a *API) media(w http.ResponseWriter, r *http.Request) error {
	c, ok := a.open(r.PathValue("token"), time.Now())
	if !ok {
		return noMedia
	}
	p, err := a.known.byID(r.Context(), c.player)
	if isGone(err) || (err == nil && !p.Enabled) {
		return noMedia
	}
	if err != nil {
		return err
	}
	if needsTLS(r, p) {
		return a.refuse(r, p.Hostname, whyPlain)
	}
	if c.media == 0 {
		return a.serveText(w, r, p, c.text)
	}
	m, err := a.c.Store.Media(r.Context(), c.media)
	if isGone(err) {
		return noMedia
	}
	if err != nil {
		return err
	}
	f, err := a.c.Files.Open(m.SHA256)
	if isGone(err) {
		return noMedia
	}
	if err != nil {
		return err
	}
	defer f.Close()
	mediaHeaders(w, r.PathValue("name"), m.MIME, m.SHA256)
	http.ServeContent(w, r, "", m.Created, f)
	return nil
}

// mediaHeaders says what a file is. Whoever got a file past our checks must not make a page of it.
func mediaHeaders(w http.ResponseWriter, name, kind, hash string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", disposition(name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", mediaFor)
	h.Set("ETag", `"`+hash+`"`)
	h.Set("Accept-Ranges", "bytes")
}

// disposition is a Content-Disposition with that name (RFC 6266).
func disposition(name string) string {
	if d := mime.FormatMediaType("inline", map[string]string{"filename": word(name).short(maxWord)}); d != "" {
		return d
	}
	return "inline"
}

// serveText serves a text that the player is to show now or later.
func (a *API) serveText(w http.ResponseWriter, r *http.Request, p *player, id uint64) error {
	picture, ok := a.texts.byID(id)
	if !ok {
		// It was painted before a restart.
		s, err := a.c.Store.Program(r.Context(), p.ID, time.Now())
		if err != nil {
			return err
		}
		text, found := textOf(s, p.Orientation, id)
		if !found {
			return noMedia
		}
		if picture, err = a.texts.picture(text, p.Orientation); err != nil {
			return err
		}
	}
	mediaHeaders(w, r.PathValue("name"), "image/png", picture.sha256)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(picture.png))
	return nil
}
