package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// What can be wrong with an item.
var (
	ErrUnsupported = errors.New("no video that the decoder knows")
	ErrDamaged     = errors.New("the video is damaged or incomplete")
	ErrCrashed     = errors.New("the decoder crashed")
	ErrHung        = errors.New("the decoder hangs: no picture came out in time")
	ErrMemory      = errors.New("the video needs more memory than it may have")
	ErrTimeout     = errors.New("the video took more time than it may have")
)

// Error says why an item could not be decoded, or not to its end. errors.Is finds its kind.
type Error struct {
	Kind   error  // one of the errors above
	Detail string // the decoder's last words, printable, one line; may be empty
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Kind.Error()
	}
	return fmt.Sprintf("%v (%s)", e.Kind, e.Detail)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// verdict decides why there are no more frames, once the child has ended. read is why reading its output ended.
func (d *Decoder) verdict(ctx context.Context, read error) error {
	fail := func(kind error) error { return &Error{Kind: kind, Detail: d.log.lastWords()} }
	status, isExit := d.child.status()
	switch {
	case d.timedOut.Load():
		return fail(ErrTimeout)
	case d.hung.Load():
		return fail(ErrHung)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !isExit:
		return fmt.Errorf("wait for decoder: %w", d.child.waitErr)
	case d.log.unsupported() && !d.described():
		return fail(ErrUnsupported)
	case d.log.outOfMemory():
		return fail(ErrMemory)
	case status.Signaled() && status.Signal() == syscall.SIGXCPU:
		return fail(ErrTimeout)
	case status.Signaled() && (status.Signal() != syscall.SIGKILL || !d.child.killed.Load()):
		detail := fmt.Sprintf("%v; %s", status.Signal(), d.log.lastWords())
		return &Error{Kind: ErrCrashed, Detail: strings.TrimSuffix(detail, "; ")}
	case !errors.Is(read, io.EOF):
		return &Error{Kind: ErrDamaged, Detail: joinDetail(printable(read.Error()), d.log.lastWords())}
	case status.ExitStatus() != 0 || d.log.errorCount() > 0:
		return fail(ErrDamaged)
	}
	return io.EOF
}

// described says whether a first frame came out.
func (d *Decoder) described() bool {
	select {
	case <-d.infoReady:
		return true
	default:
		return false
	}
}

func joinDetail(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}
