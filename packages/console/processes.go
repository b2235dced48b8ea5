package main

import (
	"errors"
	"net"
	"net/http"
	"time"

	"porthole/packages/internal/identity"
)

type logView struct {
	Name  string
	Lines []logLine
	// Problem says why there are no lines, or is empty.
	Problem string
	At      time.Time
}

// logPage shows the last lines of a process, whole or as the fragment with which the page refreshes itself.
func (c *console) logPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v := logView{Name: r.PathValue("process"), At: time.Now().UTC()}
	lines, status, err := c.backends.log(r.Context(), v.Name)
	switch {
	case status == http.StatusNotFound:
		c.sorry(w, r, http.StatusNotFound, "Not found", "There is no process of that name.")
		return
	case err != nil:
		v.Problem = "system does not answer, so there is no log to show. This page keeps asking."
	}
	for _, l := range lines {
		v.Lines = append(v.Lines, logLine{l.Stream, printable(l.Text)})
	}
	if isFragment(r) {
		c.renderPart(w, r, "log", "lines", v)
		return
	}
	c.render(w, r, http.StatusOK, "log", page{Title: "Log of " + v.Name, User: id, Body: v})
}

// restartProcess asks system to restart a process.
func (c *console) restartProcess(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	name := r.PathValue("process")
	c.log.Info("restart asked for", "process", name, "account", id.User)
	status, err := c.backends.restart(r.Context(), name)
	switch {
	case status == http.StatusNotFound:
		c.sorry(w, r, http.StatusNotFound, "Not found", "There is no process of that name.")
	case err != nil && !endedUnderWay(r, name, status, err):
		c.log.Warn("restart failed", "process", name, "err", err)
		c.back(w, r, "/", name+" could not be restarted: system did not do it. Try again in a moment.")
	default:
		c.back(w, r, "/", name+" was restarted.")
	}
}

// endedUnderWay reports whether the restart itself cut the call off: console is stopped while it waits, and system
// cannot answer after its own end.
func endedUnderWay(r *http.Request, name string, status int, err error) bool {
	var op *net.OpError
	reached := !errors.As(err, &op) || op.Op != "dial"
	return r.Context().Err() != nil || (name == "system" && status == 0 && reached)
}
