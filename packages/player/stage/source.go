package stage

import (
	"time"

	"porthole/media/render"
	"porthole/packages/player/camera"
)

// Source decides refresh by refresh what the screen shows. Its methods are called from Run's goroutine alone, one after the
// other, and must not block.
type Source interface {
	// Next says what changes at a refresh. Nothing is lost when that refresh is missed: the change comes at a later one.
	Next(r Refresh) Change
	// Shown says that all Next has given so far is on the screen, since r.
	Shown(r Refresh)
}

// Refresh is a refresh of the screen: its vertical blank.
type Refresh struct {
	// Number counts refreshes.
	Number uint64
	// Time is that of the refresh, on a clock that runs with the screen's refreshes and never goes back, whatever screens
	// come and go.
	Time time.Duration
	// Interval is the time from one refresh to the next.
	Interval time.Duration
}

// Change is what is new on the screen; its zero value is nothing. At most one of Still and Video is set.
type Change struct {
	// Begin says that it is another item's: what was there before is gone, or fades away.
	Begin bool
	Still *Still
	// Video is the next picture of something that moves. It is the stage's from now on, which releases it.
	Video *camera.Picture
	// Fit is how Video fits the screen.
	Fit render.Mode
	// Fading says that the screen changes from the last item to this one, and Share how far that is, from 0 for the last to
	// 256 for this one. The last item stands still meanwhile.
	Fading bool
	Share  int
	// Rest is until when nothing will change, on the clock of Refresh.Time, unless the source is given to Play once more; 0
	// where that is not known. It is asked each second at least.
	Rest time.Duration
}

// nothing says that the screen may stay as it is.
func (c Change) nothing() bool {
	c.Rest = 0
	return c == Change{}
}

func (c Change) release() {
	if c.Video != nil {
		c.Video.Release()
	}
}

// Play lets a source decide what is on the screen, from its first change on, until something else is shown, and asks it at
// once. Nil: the last picture stays.
func (s *Stage) Play(src Source) {
	s.mu.Lock()
	s.source = src
	s.mu.Unlock()
	s.poke()
}

// Plays reports whether a source is asked, and whether the screen is on.
func (s *Stage) Plays(src Source) (asked, lit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source == src, s.want == Lit
}
