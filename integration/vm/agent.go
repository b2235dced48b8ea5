package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// AgentPackage is the program that an image needs for Agent; AgentPort is where it listens.
const (
	AgentPackage = "porthole/integration/vm/agent"
	AgentPort    = 7070
)

// Agent reaches into a booted image that has the agent.
type Agent struct{ base string }

// Agent returns the machine's agent; AgentPort must be among the forwarded ports.
func (m *Machine) Agent() Agent { return Agent{base: "http://" + m.Addr(AgentPort)} }

// Process is one of gokrazy's services.
type Process struct {
	Name string
	PID  int
}

// Processes returns what gokrazy supervises.
func (a Agent) Processes(ctx context.Context) ([]Process, error) {
	b, err := a.do(ctx, http.MethodGet, "/gokrazy/", nil, nil)
	if err != nil {
		return nil, err
	}
	var status struct {
		Services []struct {
			Pid  int
			Path string
		}
	}
	if err := json.Unmarshal(b, &status); err != nil {
		return nil, fmt.Errorf("read the supervisor's answer: %w", err)
	}
	var list []Process
	for _, s := range status.Services {
		list = append(list, Process{Name: filepath.Base(s.Path), PID: s.Pid})
	}
	return list, nil
}

// ReadFile returns a file's content, or a folder's entries, one per line.
func (a Agent) ReadFile(ctx context.Context, path string) (string, error) {
	b, err := a.do(ctx, http.MethodGet, "/file", url.Values{"path": {path}}, nil)
	return string(b), err
}

// Put sends content of any size to the agent's file endpoint, which returns when it is safe on the disk.
func (a Agent) Put(ctx context.Context, path string, body io.Reader, size int64) error {
	q := url.Values{"path": {path}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, a.base+"/file?"+q.Encode(), body)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	req.ContentLength, req.Close = size, true
	return send(req, nil)
}

// WriteFile writes a file and returns when it is safe on the disk.
func (a Agent) WriteFile(ctx context.Context, path, content string) error {
	_, err := a.do(ctx, http.MethodPut, "/file", url.Values{"path": {path}}, []byte(content))
	return err
}

// SizeOf returns the size of the file system at path, in bytes.
func (a Agent) SizeOf(ctx context.Context, path string) (int64, error) {
	b, err := a.do(ctx, http.MethodGet, "/statfs", url.Values{"path": {path}}, nil)
	if err != nil {
		return 0, err
	}
	var st struct{ Bytes int64 }
	if err := json.Unmarshal(b, &st); err != nil {
		return 0, fmt.Errorf("read size of %s: %w", path, err)
	}
	return st.Bytes, nil
}

// MayOpen reports whether a user with the given groups may open a file for reading.
func (a Agent) MayOpen(ctx context.Context, uid int, groups []int, path string) (bool, error) {
	q := url.Values{"uid": {strconv.Itoa(uid)}, "path": {path}}
	for _, g := range groups {
		q.Add("group", strconv.Itoa(g))
	}
	_, err := a.do(ctx, http.MethodPost, "/open", q, nil)
	var denied *Refusal
	if errors.As(err, &denied) && denied.Code == http.StatusForbidden {
		return false, nil
	}
	return err == nil, err
}

// Kill kills a process.
func (a Agent) Kill(ctx context.Context, pid int) error { return a.Signal(ctx, pid, syscall.SIGKILL) }

// Signal sends a process a signal.
func (a Agent) Signal(ctx context.Context, pid int, sig syscall.Signal) error {
	_, err := a.do(ctx, http.MethodPost, "/kill", url.Values{"pid": {strconv.Itoa(pid)}, "signal": {strconv.Itoa(int(sig))}}, nil)
	return err
}

// Find returns the processes of a name, as the kernel has it, that are children of parent.
func (a Agent) Find(ctx context.Context, name string, parent int) ([]int, error) {
	b, err := a.do(ctx, http.MethodGet, "/find", url.Values{"name": {name}}, nil)
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(string(b)) {
		var pid, of int
		if _, err := fmt.Sscan(line, &pid, &of); err != nil {
			return nil, fmt.Errorf("read process %q: %w", line, err)
		}
		if of == parent {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Ask asks one of the appliance's sockets, as root, and decodes its JSON into out.
func (a Agent) Ask(ctx context.Context, socket, path string, out any) error {
	b, err := a.do(ctx, http.MethodGet, "/ask", url.Values{"socket": {socket}, "path": {path}}, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read the answer of %s to %s: %w", socket, path, err)
	}
	return nil
}

// Tell sends JSON to one of the appliance's sockets, as root.
func (a Agent) Tell(ctx context.Context, socket, method, path string, in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode for %s: %w", path, err)
	}
	_, err = a.do(ctx, method, "/ask", url.Values{"socket": {socket}, "path": {path}}, b)
	return err
}

// Pass sends a body of the given size to one of the appliance's sockets, as root, and decodes the answer's JSON into out, if
// that is not nil. It takes as long as it takes, until ctx ends. An answer that says no is a Refusal.
func (a Agent) Pass(ctx context.Context, socket, method, path string, body io.Reader, size int64, out any) error {
	q := url.Values{"socket": {socket}, "path": {path}}
	req, err := http.NewRequestWithContext(ctx, method, a.base+"/ask?"+q.Encode(), body)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	req.ContentLength, req.Close = size, true
	if err := send(req, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// send sends a request as it is and decodes the answer's JSON into out, if that is not nil.
func send(req *http.Request, out any) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	if res.StatusCode > 299 {
		return refusal(res.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

// MoveClock sets the guest's clock forward, or back.
func (a Agent) MoveClock(ctx context.Context, by time.Duration) error {
	_, err := a.do(ctx, http.MethodPost, "/clock", url.Values{"seconds": {strconv.Itoa(int(by / time.Second))}}, nil)
	return err
}

// Refusal is an answer that says no: its HTTP status, and why.
type Refusal struct {
	Code int
	Text string
}

// refusal reads why from an answer: the sentence in its JSON, or all of it.
func refusal(code int, body []byte) *Refusal {
	var says struct{ Error string }
	if json.Unmarshal(body, &says) != nil || says.Error == "" {
		says.Error = string(bytes.TrimSpace(body))
	}
	return &Refusal{Code: code, Text: says.Error}
}

func (e *Refusal) Error() string { return fmt.Sprintf("the agent answers %d: %s", e.Code, e.Text) }

// once bounds one question to the agent.
const once = 30 * time.Second

func (a Agent) do(ctx context.Context, method, path string, query url.Values, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, once)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.base+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	if res.StatusCode > 299 {
		return nil, refusal(res.StatusCode, b)
	}
	return b, nil
}
