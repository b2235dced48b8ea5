package update

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// refusal is why an update, or a part, is not taken: a sentence for the owner.
type refusal struct {
	text     string
	conflict bool
}

func (r *refusal) Error() string { return r.text }

// refuse says what is wrong with what was sent.
func refuse(format string, args ...any) error { return &refusal{text: fmt.Sprintf(format, args...)} }

// conflict says what is in the way now.
func conflict(format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...), conflict: true}
}

// IsRefusal reports whether err is a sentence on what was sent, and whether it is one on what goes on now (a conflict).
func IsRefusal(err error) (refused, inTheWay bool) {
	var r *refusal
	if !errors.As(err, &r) {
		return false, false
	}
	return true, r.conflict
}

// storage explains why the storage does not take a record. A refusal to change it explains itself.
func storage(err error) error {
	if refused, _ := IsRefusal(err); refused {
		return err
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return refuse("The device's storage is full, so the update cannot be recorded. Delete media that you no longer need, then try again.")
	}
	return refuse("The device's storage cannot be written, so the update cannot be recorded: %v. Restart the device; if that does not help, replace the card.", err)
}
