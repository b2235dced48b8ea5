package update_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	shared "porthole/packages/internal/update"
	"porthole/packages/system/update"
)

// serve serves an engine's calls. guarded is what was asked through the guard.
func serve(t *testing.T, e *update.Engine) (url string, guarded *int) {
	t.Helper()
	mux := http.NewServeMux()
	guarded = new(int)
	e.Register(mux, func(h http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*guarded++
			h(w, r)
		})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return s.URL, guarded
}

// call makes a call and returns its status and the error that it answers, or all of it.
func call(t *testing.T, method, url string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var problem struct{ Error string }
	if json.Unmarshal(b, &problem) == nil && problem.Error != "" {
		return res.StatusCode, problem.Error
	}
	return res.StatusCode, string(b)
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	url, guarded := serve(t, e)
	who := []byte(`{"who":"owner"}`)
	o := r.offer(newVersion)
	offer, err := json.Marshal(map[string]any{"manifest": o.Manifest, "signature": o.Signature, "downgrade": false, "who": "owner"})
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := json.Marshal(map[string]any{"manifest": o.Manifest, "signature": "", "who": "owner"})
	if err != nil {
		t.Fatal(err)
	}
	content := r.update(newVersion).Content
	asked := 0
	for _, c := range []struct {
		method, path string
		body         []byte
		status       int
		text         string
	}{
		{"GET", "/update", nil, 200, `"phase":"idle"`},
		{"POST", "/update", []byte("{"), 400, "send"},
		{"POST", "/update", []byte(`{"manifest":"e30=","signature":""}`), 400, "who"},
		{"POST", "/update", bytes.Repeat([]byte(" "), 1<<20), 400, "send"},
		{"POST", "/update", unsigned, 422, "signature"},
		{"PUT", "/update/parts/root", []byte("x"), 409, "offer an update first"},
		{"POST", "/update/install", who, 409, "offer one first"},
		{"POST", "/update/back", who, 409, "no former version"},
		{"DELETE", "/update", who, 409, "No update"},
		{"POST", "/update/seen", who, 204, ""},
		{"POST", "/update", offer, 200, `"phase":"receiving"`},
		{"POST", "/update", offer, 200, `"phase":"receiving"`},
		{"PUT", "/update/parts/root", []byte("x"), 422, "were announced"},
		{"PUT", "/update/parts/other", []byte("x"), 422, "no part"},
		{"PUT", "/update/parts/root", content["root"], 204, ""},
		{"PUT", "/update/parts/root", content["root"], 409, "need not be sent"},
		{"POST", "/update/install", who, 409, "Not all parts"},
		{"DELETE", "/update", []byte(`{}`), 400, "who"},
		{"DELETE", "/update", who, 204, ""},
		{"POST", "/update", offer, 200, `"phase":"receiving"`},
		{"PUT", "/update/parts/boot", content["boot"], 204, ""},
		{"GET", "/update", nil, 200, `"phase":"ready"`},
		{"POST", "/update/install", []byte(`{"who":""}`), 400, "who"},
		{"POST", "/update/install", who, 202, ""},
		{"POST", "/update/install", who, 409, "being tried already"},
		{"POST", "/update", offer, 409, "being tried"},
		{"DELETE", "/update", who, 409, "cannot be called off"},
		{"GET", "/update", nil, 200, `"phase":"restarting"`},
	} {
		if c.method != "GET" {
			asked++
		}
		status, text := call(t, c.method, url+c.path, c.body)
		if status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s: %d, %q; want %d, %q", c.method, c.path, status, text, c.status, c.text)
		}
	}
	if *guarded != asked {
		t.Errorf("%d of %d calls were guarded", *guarded, asked)
	}
}

// TestConnectionEnds: whoever sends a part goes away in its middle; it can be sent again at once, over the same socket.
func TestConnectionEnds(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	url, _ := serve(t, e)
	r.accept(e, newVersion)
	for range 3 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "PUT /update/parts/root HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", rootBytes, strings.Repeat("x", 5000))
		until(t, "it is being written", func() bool { return e.Status().Parts[1].Done == 5000 })
		c.Close()
		until(t, "it is waited for again", func() bool { return steps(e.Status())["root"] == shared.Waiting })
	}
	if s := e.Status(); !strings.Contains(s.Reason, "ended after 5000 of") {
		t.Errorf("afterwards: %+v", s)
	}
	if status, text := call(t, "PUT", url+"/update/parts/root", r.update(newVersion).Content["root"]); status != 204 {
		t.Errorf("sent again: %d, %s", status, text)
	}
}

// TestCalledOffWhileSenderIsSilent: nobody waits for a sender that says nothing.
func TestCalledOffWhileSenderIsSilent(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	url, _ := serve(t, e)
	r.accept(e, newVersion)
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PUT /update/parts/root HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", rootBytes)
	until(t, "it is being written", func() bool { return e.Status().Parts[1].Done == 1 })
	if status, text := call(t, "DELETE", url+"/update", []byte(`{"who":"owner"}`)); status != 204 {
		t.Fatalf("called off: %d, %s", status, text)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), "409") || !strings.Contains(string(answer), "called off") {
		t.Errorf("the sender got %q, %v", answer, err)
	}
	if s := e.Status(); s.Phase != shared.Idle {
		t.Errorf("afterwards: %+v", s)
	}
}

// TestChunked: a part without a length is refused before anything is written.
func TestChunked(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	url, _ := serve(t, e)
	r.accept(e, newVersion)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/update/parts/root", io.MultiReader(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusLengthRequired || steps(e.Status())["root"] != shared.Waiting {
		t.Errorf("%s, %+v", res.Status, e.Status())
	}
}
