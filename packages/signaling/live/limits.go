package live

import (
	"fmt"
	"time"
)

// Limits bound what the live view may cost.
type Limits struct {
	// PerCamera and Total bound the viewers of one stream and of all.
	PerCamera int `json:"per_camera"`
	Total     int `json:"total"`
	// MaxTime ends a viewer after that time; zero: never.
	MaxTime time.Duration `json:"max_time_ns"`
}

// SetLimits holds from now on. Nobody is sent away: lower numbers keep new viewers out until enough have left, and MaxTime
// counts for those who come.
func (s *Server) SetLimits(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
}

// Limits returns those that hold.
func (s *Server) Limits() Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
}

func errTimeLimit(after time.Duration) error {
	return &Refusal{Reason: TimeLimit, Message: fmt.Sprintf("this live view ended after %s: start it again if you are still watching", spoken(after))}
}

func errBusy(one, many string, n int) error {
	text := one
	if n != 1 {
		text = fmt.Sprintf(many, n)
	}
	return &Refusal{Reason: Busy, Message: text + ": close one, or try again later"}
}

func errDeviceBusy(n int) error {
	return errBusy("one live view is open on this device, and it shows no more at once",
		"%d live views are open on this device, which is as many as it shows at once", n)
}

func errCameraBusy(n int) error {
	return errBusy("one live view of this camera is open, and there may be no more",
		"%d live views of this camera are open, which is as many as there may be", n)
}

// spoken is for people, in the largest unit that fits.
func spoken(d time.Duration) string {
	n, unit := int(d/time.Minute), "minute"
	switch {
	case d < time.Minute:
		n, unit = int(d/time.Second), "second"
	case d%time.Hour == 0:
		n, unit = int(d/time.Hour), "hour"
	}
	if n == 1 {
		return "one " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
