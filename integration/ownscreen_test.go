package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOwnScreen: the page of the device's own screen speaks with the real player and system, what is set there and in the
// file reaches player, and all processes' lines come in one log, in order.
func TestOwnScreen(t *testing.T) {
	s := start(t, "[player]\nmode = \"1280x720\"\nhours = \"00:00-24:00\"\n")
	u := admin(t, s)
	page := ""
	eventually(t, "player and system answer", func() error {
		var err error
		_, page, err = u.Get(t.Context(), "/screen")
		if err == nil && strings.Contains(page, "does not answer") {
			return errors.New("not yet")
		}
		return err
	})
	for _, want := range []string{"drawn for this page only", "This device’s own", "1280 × 720", `id="h0-6" name="h0_day" value="6" checked`, "Clock, power, temperature"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	// A governor is nothing for a developer's machine.
	if strings.Contains(page, `name="governor"`) {
		t.Error("the machine's governor is offered")
	}
	if status, page, err := u.Post(t.Context(), "/screen/display", url.Values{"orientation": {"portrait"}, "off": {"black"}}); err != nil || status != http.StatusOK || !strings.Contains(page, "Saved. The screen follows at once.") {
		t.Errorf("save: %d, %v\n%s", status, err, page)
	}

	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.State, "run", "system", "system.sock"))
	}}
	defer transport.CloseIdleConnections()
	system := &http.Client{Transport: transport, Timeout: time.Minute}
	type line struct {
		Seq           int64
		Process, Text string
		Time          time.Time
	}
	var all []line
	eventually(t, "the log of all has the page's last line", func() error {
		var more struct{ Lines []line }
		last := int64(0)
		if len(all) > 0 {
			last = all[len(all)-1].Seq
		}
		res, err := system.Get(fmt.Sprintf("http://system/log?after=%d", last))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&more); err != nil {
			return err
		}
		all = append(all, more.Lines...)
		for _, l := range all {
			if l.Process == "console" && strings.Contains(l.Text, "orientation=portrait") {
				return nil
			}
		}
		return fmt.Errorf("%d lines so far", len(all))
	})
	said := map[string]bool{}
	for i, l := range all {
		said[l.Process] = true
		if i > 0 && l.Seq <= all[i-1].Seq {
			t.Errorf("line %d comes after line %d", l.Seq, all[i-1].Seq)
		}
	}
	for _, p := range []string{"system", "console", "proxy", "signaling", "player"} {
		if !said[p] {
			t.Errorf("nothing of %s is in the log of all", p)
		}
	}
}
