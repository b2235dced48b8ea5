package cache_test

import (
	"testing"

	"porthole/packages/player/cache"
)

// TestPlaysFromDisk: what was fetched once plays without a server.
func TestPlaysFromDisk(t *testing.T) {
	s, dir := newServer(), t.TempDir()
	a, b := s.put("a.png", content(1, 100_000)), s.put("b.png", content(2, 300_000))
	p := newPlayer(t, dir, s)
	if _, ok := p.Current(); ok {
		t.Error("a program out of nowhere")
	}
	p.Want(show(7, a, text(9, "hello"), b))
	p.plays(7, a, text(9, ""), b)
	if st := p.State(); st.Revision != 7 || st.Coming != 0 || st.Files != 2 || st.Bytes != 400_000 || st.Missing != 0 || st.Problem != "" || st.Limit < 400_000 {
		t.Errorf("%+v", st)
	}
	p.stop()
	s.set(func() { s.errs["*"] = cache.ErrServer })
	again := newPlayer(t, dir, s)
	current, ok := again.Current()
	if !ok || current.Revision != 7 || len(idsOf(current)) != 3 {
		t.Errorf("%+v", current)
	}
	again.opens(current)
	if n := len(s.requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}
