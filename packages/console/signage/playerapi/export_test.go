package playerapi

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"
)

// What tests look at.
var (
	Expiry      = expiry
	Timestamp   = timestamp
	FileName    = fileName
	Disposition = disposition
)

// Said is what a player says of itself, as we take it.
type Said struct{ Hostname, Message, Status string }

// Read reads a body of that type as calls do, and status is that of its refusal.
func Read(kind string, body []byte) (said Said, status int) {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	f, err := read(httptest.NewRecorder(), r)
	if err != nil {
		return Said{}, statusOf(err)
	}
	return Said{f.hostname(), f.Message.short(maxMessage), f.Status.short(maxWord)}, 0
}

// statusOf is the status of a refusal; 500 for an error that is none.
func statusOf(err error) int {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p.status
	}
	return http.StatusInternalServerError
}

// ReadQuery is Read of an address.
func ReadQuery(query string) Said {
	v, _ := url.ParseQuery(query)
	f := fieldsOf(v)
	return Said{f.hostname(), f.Message.short(maxMessage), f.Status.short(maxWord)}
}

// ReadEdit reads an edit's form; name is what the picture will be called, status that of its refusal.
func ReadEdit(kind string, body []byte) (name string, status int) {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	m, file, err := readEdit(httptest.NewRecorder(), r)
	if err != nil {
		return "", statusOf(err)
	}
	defer r.MultipartForm.RemoveAll()
	return m.name(file.Filename), 0
}

// Token is the address of a medium without the server's name, and Open whom and what it is for.
func Token(key []byte, player, media int64, now time.Time) string {
	a := &API{c: Config{Key: key}}
	return a.seal(capability{player: player, media: media, expires: expiry(player, now)})
}

// Open reads what Token wrote.
func Open(key []byte, token string, now time.Time) (player, media int64, ok bool) {
	c, ok := (&API{c: Config{Key: key}}).open(token, now)
	return c.player, c.media, ok
}
