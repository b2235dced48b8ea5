// Command agent is a test's hand inside a booted image. It is in no image but those that tests build for themselves
// (imager -package): it does whatever it is told, as root, without asking who is there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "open" {
		os.Exit(open(os.Args[2]))
	}
	supervisor := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "gokrazy"})
	supervisor.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", "/run/gokrazy-http.sock")
	}}
	mux := http.NewServeMux()
	mux.Handle("/gokrazy/", http.StripPrefix("/gokrazy", supervisor))
	mux.HandleFunc("GET /file", serveFile)
	mux.HandleFunc("PUT /file", putFile)
	mux.HandleFunc("GET /statfs", serveStatfs)
	mux.HandleFunc("GET /files", listFiles)
	mux.HandleFunc("POST /open", tryOpen)
	mux.HandleFunc("POST /kill", kill)
	mux.HandleFunc("GET /find", find)
	mux.HandleFunc("/ask", ask)
	mux.HandleFunc("POST /clock", moveClock)
	fmt.Fprintln(os.Stderr, "agent:", http.ListenAndServe(":7070", mux))
	os.Exit(1)
}

// answer writes the error, if there is one, as status 500.
func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// serveFile answers a file's content; /proc and /sys too. A folder's entries come one per line.
func serveFile(w http.ResponseWriter, r *http.Request) {
	path := r.FormValue("path")
	if list, err := os.ReadDir(path); err == nil {
		for _, e := range list {
			fmt.Fprintln(w, e.Name())
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		answer(w, err)
		return
	}
	w.Write(b)
}

// putFile answers once the file is on the disk: content, name and folder synced.
func putFile(w http.ResponseWriter, r *http.Request) {
	answer(w, func() error {
		path := r.FormValue("path")
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(f, r.Body); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return err
		}
		defer dir.Close()
		return dir.Sync()
	}())
}

func serveStatfs(w http.ResponseWriter, r *http.Request) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(r.FormValue("path"), &st); err != nil {
		answer(w, err)
		return
	}
	answer(w, json.NewEncoder(w).Encode(map[string]any{"bytes": int64(st.Blocks) * st.Bsize, "flags": st.Flags}))
}

// tryOpen answers 204 if a user may open a file for reading, else 403 with the reason.
func tryOpen(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.FormValue("uid"))
	if err != nil {
		answer(w, err)
		return
	}
	cmd := exec.Command("/proc/self/exe", "open", r.FormValue("path"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	for _, g := range r.Form["group"] {
		n, err := strconv.Atoi(g)
		if err != nil {
			answer(w, err)
			return
		}
		cmd.SysProcAttr.Credential.Groups = append(cmd.SysProcAttr.Credential.Groups, uint32(n))
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		http.Error(w, string(out), http.StatusForbidden)
	case err != nil:
		answer(w, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func open(path string) int {
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f.Close()
	return 0
}

// kill sends a process a signal, SIGKILL unless another number is given.
func kill(w http.ResponseWriter, r *http.Request) {
	pid, err := strconv.Atoi(r.FormValue("pid"))
	sig := int(syscall.SIGKILL)
	if text := r.FormValue("signal"); err == nil && text != "" {
		sig, err = strconv.Atoi(text)
	}
	if err == nil {
		err = syscall.Kill(pid, syscall.Signal(sig))
	}
	answer(w, err)
}

// find answers the processes of a name, as the kernel has it, with their parents: one "PID PARENT" per line.
func find(w http.ResponseWriter, r *http.Request) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		answer(w, err)
		return
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT …, proc(5)
		pid, rest, _ := strings.Cut(string(b), " (")
		name, rest, _ := strings.Cut(rest, ") ")
		if fields := strings.Fields(rest); name == r.FormValue("name") && len(fields) > 1 && fields[0] != "Z" {
			fmt.Fprintln(w, pid, fields[1])
		}
	}
}

// ask passes a question on to one of the appliance's sockets, and what that answers.
func ask(w http.ResponseWriter, r *http.Request) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.URL.Query().Get("socket"))
	}}}
	q := r.URL.Query()
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://socket"+q.Get("path"), r.Body)
	if err != nil {
		answer(w, err)
		return
	}
	req.ContentLength = r.ContentLength
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		answer(w, err)
		return
	}
	defer res.Body.Close()
	w.WriteHeader(res.StatusCode)
	io.Copy(w, res.Body) //nolint:errcheck // the test has gone
}

// moveClock moves the system's clock by so many seconds.
func moveClock(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.ParseInt(r.FormValue("seconds"), 10, 64)
	var tv syscall.Timeval
	if err == nil {
		err = syscall.Gettimeofday(&tv)
	}
	if err == nil {
		tv.Sec += seconds
		err = syscall.Settimeofday(&tv)
	}
	answer(w, err)
}
