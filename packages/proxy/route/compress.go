package route

import (
	"compress/gzip"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// minCompressed is from which length on an answer is worth the time, in bytes: below it fits a packet anyway.
	minCompressed = 1400
	// compressionLevel takes most of what there is to save: pages of the console become six times smaller.
	compressionLevel = 3
)

// compressible are the types of pages and what belongs to them. Pictures and films are compressed already.
var compressible = map[string]bool{
	"text/html": true, "text/css": true, "text/javascript": true, "image/svg+xml": true, "text/plain": true, "application/manifest+json": true,
}

var compressors = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, compressionLevel)
	if err != nil {
		panic(err) //nolint:forbidigo // a bug: the level is a constant
	}
	return z
}}

// compressed makes pages smaller for whoever takes gzip (RFC 9110 section 8.4.1.3). What players poll is small and is left
// alone. So is what another site had a browser ask for: beside what that site put into the address, the length of a
// compressed page would tell it of the secrets in there (BREACH).
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost || isAPI(r.URL.Path) ||
			!ownWish(r.Header) || !takesGzip(r.Header["Accept-Encoding"]) {
			next.ServeHTTP(w, r)
			return
		}
		// The process behind knows its own ETags only; for this question weak ones are as good (RFC 9110 section 13.1.2).
		if tags := r.Header.Get("If-None-Match"); strings.Contains(tags, "W/") {
			r.Header.Set("If-None-Match", strings.ReplaceAll(tags, "W/", ""))
		}
		c := &compressing{ResponseWriter: w}
		defer c.end()
		next.ServeHTTP(c, r)
	})
}

// ownWish reports whether a page of ours, or the person, made the browser ask (Fetch Metadata, section 2.3).
func ownWish(h http.Header) bool {
	site := h.Get("Sec-Fetch-Site")
	return site == "same-origin" || site == "none"
}

// takesGzip reports whether a client does (RFC 9110 section 12.5.3).
func takesGzip(accept []string) bool {
	for _, s := range listOf(accept) {
		coding, params, _ := strings.Cut(s, ";")
		if coding = strings.TrimSpace(coding); !strings.EqualFold(coding, "gzip") && coding != "*" {
			continue
		}
		_, q, weighed := strings.Cut(params, "q=")
		weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !weighed || err == nil && weight > 0
	}
	return false
}

// compressing decides at the head of an answer.
type compressing struct {
	http.ResponseWriter
	begun bool
	// z is nil for what is not compressed.
	z *gzip.Writer
}

// Unwrap is for http.ResponseController.
func (c *compressing) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *compressing) WriteHeader(status int) {
	h := c.Header()
	if status >= 200 && !c.begun {
		c.begun = true
		if status != http.StatusNoContent && status != http.StatusNotModified && status != http.StatusPartialContent && worthwhile(h) {
			h.Set("Content-Encoding", "gzip")
			h.Add("Vary", "Accept-Encoding")
			h.Del("Content-Length")
			h.Del("Accept-Ranges")
			if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
				h.Set("ETag", "W/"+tag)
			}
			c.z, _ = compressors.Get().(*gzip.Writer)
			c.z.Reset(c.ResponseWriter)
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

func worthwhile(h http.Header) bool {
	if h.Get("Content-Encoding") != "" || h.Get("Content-Range") != "" {
		return false
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && n < minCompressed {
		return false
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && compressible[kind]
}

func (c *compressing) Write(p []byte) (int, error) {
	if !c.begun {
		c.WriteHeader(http.StatusOK)
	}
	if c.z == nil {
		return c.ResponseWriter.Write(p)
	}
	n, err := c.z.Write(p)
	if err != nil {
		return n, fmt.Errorf("compress: %w", err)
	}
	return n, nil
}

// FlushError sends what is not compressed at once. Nothing that is compressed goes on for long.
func (c *compressing) FlushError() error {
	if c.z != nil {
		return nil
	}
	return http.NewResponseController(c.ResponseWriter).Flush() //nolint:wrapcheck // the caller knows what it flushes
}

func (c *compressing) end() {
	if c.z == nil {
		return
	}
	// After a panic the answer is to stay incomplete.
	if v := recover(); v != nil {
		panic(v) //nolint:forbidigo // net/http's way to drop a connection goes on to net/http
	}
	_ = c.z.Close() // the client has gone
	compressors.Put(c.z)
}
