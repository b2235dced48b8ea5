package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file every page may load. Its ETag is its content's hash: an update shows at once, and until then a
// browser keeps its copy.
type asset struct {
	body, gzip []byte // gzip is empty where it would save nothing
	etag       string
	ctype      string
}

// etagOf is the tag of one of its forms (RFC 9110 section 8.8.3.3: they need different ones).
func (a asset) etagOf(gzip bool) string {
	if gzip {
		return strings.TrimSuffix(a.etag, `"`) + `-gzip"`
	}
	return a.etag
}

// squeeze returns b in gzip's form, nil where that is hardly smaller. Only what is the same for everybody is squeezed:
// the length of a page with secrets in it would tell of them.
func squeeze(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Len() > len(b)*9/10 {
		return nil, nil
	}
	return out.Bytes(), nil
}

// takesGzip reports whether the client said that it knows gzip; a q of 0 says that it does not.
func takesGzip(r *http.Request) bool {
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(q, " ", ""), "q="), 64)
			return err != nil || weight > 0
		}
	}
	return false
}

func readAssets() (map[string]asset, error) {
	m := map[string]asset{}
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		// The image has no mime.types: name what we use.
		ctype := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(name)]
		if ctype == "" {
			ctype = mime.TypeByExtension(path.Ext(name))
		}
		small, err := squeeze(b)
		if err != nil {
			return fmt.Errorf("squeeze %s: %w", name, err)
		}
		m["/"+name] = asset{body: b, gzip: small, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, ctype: ctype}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	return m, nil
}

func (c *console) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := c.assets[r.URL.Path]
	if !ok {
		c.notFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.ctype)
	h.Set("Cache-Control", "no-cache")
	body, small := a.body, len(a.gzip) > 0 && takesGzip(r)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", a.etagOf(small))
	if r.Header.Get("If-None-Match") == a.etagOf(small) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if small {
		h.Set("Content-Encoding", "gzip")
		body = a.gzip
	}
	w.Write(body)
}
