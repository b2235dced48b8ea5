package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"porthole/packages/internal/identity"
)

// shownLines is how many lines of the RTSP log a page shows; the download has all.
const shownLines = 300

// rtspLogView is the page of the RTSP log.
type rtspLogView struct {
	Problem      string
	Stream, Text string
	Streams      []choice
	Lines        []rtspLogLine
	// Found is how many lines fit the filter; more than there are Lines when they are too many for a page.
	Found int
	At    time.Time
	// Query is the filter as it stands in addresses.
	Query string
}

type rtspLogLine struct {
	Seq                uint64
	At, Arrow, Who, Of string
	Out                bool
	Text               string
}

// foundLines returns the lines that fit the filter of the request, newest first.
func (c *console) foundLines(r *http.Request, stream, text string) ([]rtspLine, error) {
	lines, err := c.backends.rtspLog(r.Context(), stream)
	if err != nil {
		return nil, err
	}
	text = strings.ToLower(text)
	var found []rtspLine
	for _, l := range lines {
		if text == "" || strings.Contains(strings.ToLower(l.Text), text) || strings.Contains(strings.ToLower(l.Peer), text) {
			found = append(found, l)
		}
	}
	return found, nil
}

// arrow says who sent a line: a camera's and a reader's to the left of Porthole and to the right.
func (l rtspLine) arrow() string {
	who := l.Side
	if l.Peer != "" {
		who += " " + l.Peer
	}
	if l.From == "us" {
		return "Porthole → " + who
	}
	return who + " → Porthole"
}

func (c *console) rtspLogPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := rtspLogView{Stream: r.FormValue("stream"), Text: strings.TrimSpace(r.FormValue("text")), At: time.Now().UTC()}
	v.Query = url.Values{"stream": {v.Stream}, "text": {v.Text}}.Encode()
	v.Streams = []choice{{"", "All streams", v.Stream == ""}}
	for _, cam := range cameras {
		for n := 1; n <= streamCount(cam); n++ {
			s := streamID(cam.ID, n)
			v.Streams = append(v.Streams, choice{s, streamName(s, cameras), s == v.Stream})
		}
	}
	lines, err := c.foundLines(r, v.Stream, v.Text)
	if err != nil {
		v.Problem = "proxy does not answer, so there is no log to show. This page keeps asking."
	}
	v.Found = len(lines)
	for _, l := range lines[:min(len(lines), shownLines)] {
		v.Lines = append(v.Lines, rtspLogLine{
			Seq: l.Seq, At: l.Time.UTC().Format("15:04:05.000"), Arrow: l.arrow(), Of: l.Stream, Out: l.From == "us", Text: printableLines(l.Text),
		})
	}
	if isFragment(r) {
		c.renderPart(w, r, "rtsplog", "lines", v)
		return
	}
	c.render(w, r, http.StatusOK, "rtsplog", page{Title: "RTSP log", User: id, Body: v})
}

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), "\r\n"), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// rtspLogText is the log as a file, for a report to whoever can read it.
func (c *console) rtspLogText(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	lines, err := c.foundLines(r, r.FormValue("stream"), strings.TrimSpace(r.FormValue("text")))
	if err != nil {
		w.Header().Set("Retry-After", "3")
		c.sorry(w, r, http.StatusServiceUnavailable, "No log", "proxy does not answer, so there is no log. Try again in a moment.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="rtsp-log-`+time.Now().UTC().Format("20060102-150405")+`.txt"`)
	for _, l := range lines {
		stream := l.Stream
		if stream == "" {
			stream = "-"
		}
		text := strings.ReplaceAll(printableLines(l.Text), "\n", "\n    ")
		fmt.Fprintf(w, "%s %s [%s]\n    %s\n", l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.arrow(), stream, text)
	}
}

func (c *console) clearRTSPLog(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if err := c.backends.clearRTSPLog(r.Context()); err != nil {
		c.log.Warn("clearing the RTSP log failed", "err", err)
		c.back(w, r, "/rtsp-log", "The log could not be cleared: proxy did not do it. Try again in a moment.")
		return
	}
	c.log.Info("RTSP log cleared", "account", id.User)
	c.back(w, r, "/rtsp-log", "The log was cleared.")
}
