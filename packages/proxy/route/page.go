package route

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// notice is what a person or a program is told instead of an answer.
type notice struct {
	Status  int    `json:"-"`
	Title   string `json:"-"`
	Text    string `json:"error"`
	Process string `json:"process,omitempty"`
	// HTTPSURL is where the same is to be had over https.
	HTTPSURL string `json:"https_url,omitempty"`
	// RetrySeconds makes the page load itself again; zero does not.
	RetrySeconds int `json:"-"`
}

const style = `:root{color-scheme:light dark;font:100%/1.5 system-ui,sans-serif}` +
	`body{display:grid;min-height:90vh;place-items:center;margin:0 1rem}main{max-width:36rem}h1{font-size:1.5rem}`

var (
	pageTemplate = template.Must(template.New("notice").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{{with .RetrySeconds}}<meta http-equiv="refresh" content="{{.}}">
{{end}}<title>{{.Title}}</title>
<style>{{.Style}}</style>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
{{with .RetrySeconds}}<p role="status">This page tries again by itself every {{.}} seconds.</p>
{{end}}</main>
</html>
`))
	pagePolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; style-src '" + styleHash() + "'"
)

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// wantsPage reports whether a person waits for the answer. What lies below /api/ is for programs even when a browser asks.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/api/")
}

// send answers with a page or with JSON, whatever the request wants.
func (n notice) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	var body bytes.Buffer
	var err error
	if wantsPage(r) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", pagePolicy)
		err = pageTemplate.Execute(&body, struct {
			notice
			Style template.CSS
		}{n, style})
	} else {
		h.Set("Content-Type", "application/json")
		err = json.NewEncoder(&body).Encode(n)
	}
	if err != nil {
		http.Error(w, n.Text, n.Status)
		return
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if n.RetrySeconds > 0 {
		h.Set("Retry-After", strconv.Itoa(n.RetrySeconds))
	}
	w.WriteHeader(n.Status)
	w.Write(body.Bytes())
}

// badHost answers a request whose Host header is unusable.
func badHost() notice {
	return notice{Status: http.StatusBadRequest, Title: "Unusable address",
		Text: "The request's Host header is not a host name or an IP address. Type the device's name or address again."}
}
