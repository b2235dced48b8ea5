package live

import "errors"

// Reason says in a word for programs why somebody cannot watch.
type Reason string

// The reasons.
const (
	// BadOffer: the SDP offer cannot be read, or asks for nothing we send.
	BadOffer Reason = "bad-offer"
	// NoCodec: the camera's video format is none of those offered.
	NoCodec Reason = "no-codec"
	// Busy: a limit on viewers is reached.
	Busy Reason = "busy"
	// Offline: the camera sends nothing.
	Offline Reason = "camera-offline"
	// Unknown: there is no such camera (any more).
	Unknown Reason = "camera-unknown"
	// Changed: the camera changed its format; watching again will do.
	Changed Reason = "camera-changed"
	// NoPath: no network path to the viewer was found, or it broke.
	NoPath Reason = "no-path"
	// Stopping: this process is ending.
	Stopping Reason = "stopping"
	// TimeLimit: the viewer has watched for as long as one may without asking again.
	TimeLimit Reason = "time-limit"
	// Ended: an administrator ended it.
	Ended Reason = "ended"
	// Failed: something that should not happen; Message and Err say what.
	Failed Reason = "failed"
)

// Refusal is why somebody cannot watch, or cannot go on.
type Refusal struct {
	Reason Reason
	// Message is for the person who wanted to watch.
	Message string
	Err     error
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Message + ": " + r.Err.Error()
	}
	return r.Message
}

func (r *Refusal) Unwrap() error { return r.Err }

// errClosed ends a viewer that asked for it.
var errClosed = errors.New("closed by the viewer")

// reasonOf is the word for an error of this package.
func reasonOf(err error) Reason {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r.Reason
	}
	return Failed
}
