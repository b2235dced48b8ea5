package route_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"porthole/packages/proxy/route"
)

// slowly opens a connection and announces a body of a gigabyte.
func slowly(t *testing.T, front *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "PATCH /uploads/1 HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nabc", 1<<30)
	return c, bufio.NewReader(c)
}

// TestSlowBody: who uploads nothing, or a byte now and then, is sent away; who is slow but goes on is not, however long it
// takes.
func TestSlowBody(t *testing.T) {
	w := newWorld(t)
	w.taker(t, "console")
	cfg := w.cfg
	cfg.Stall = 300 * time.Millisecond
	front := httptest.NewServer(route.Public(cfg))
	t.Cleanup(front.Close)
	refused := func(in *bufio.Reader) {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%d %s %v", res.StatusCode, b, err)
		}
	}
	t.Run("nothing", func(t *testing.T) {
		_, in := slowly(t, front)
		refused(in)
	})
	t.Run("drops", func(t *testing.T) {
		c, in := slowly(t, front)
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		refused(in)
		close(stop)
		<-done
	})
}

// deadlines is a connection that notes the deadlines it is given.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// TestPatience: as long as an upload goes on its deadline does, and none is left behind for what comes next.
func TestPatience(t *testing.T) {
	w := newWorld(t)
	w.taker(t, "console")
	cfg := w.cfg
	cfg.Stall = time.Hour
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPatch, "/uploads/1", io.LimitReader(zeros{}, 4<<20))
	r.Host = "h"
	begin := time.Now()
	route.Public(cfg).ServeHTTP(d, r)
	if d.Code != http.StatusOK || len(d.set) < 10 || !d.set[len(d.set)-1].IsZero() {
		t.Fatalf("%d %v", d.Code, d.set)
	}
	for i, at := range d.set[:len(d.set)-1] {
		if at.Before(begin.Add(time.Hour)) || i > 0 && at.Before(d.set[i-1]) {
			t.Errorf("deadline %d is %v", i, at)
		}
	}
}
