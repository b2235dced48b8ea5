// Package update is what the parts of Porthole that deal with updates share: the manifest and its signature, the order of
// versions, the bundle's container, and how far an update has come (docs/updates.md).
package update

import "time"

// Phase is how far an update has come.
type Phase string

// Phases of an update, in their order; Failed, RolledBack and Kept are ends.
const (
	// Idle: nothing was ever offered, or it was called off.
	Idle Phase = "idle"
	// Receiving: a manifest was accepted, parts are being sent, written and read back.
	Receiving Phase = "receiving"
	// Ready: every part is in the other slot and was read back; nothing boots it yet.
	Ready Phase = "ready"
	// Restarting: the loader is armed and the device restarts into the other slot.
	Restarting Phase = "restarting"
	// Trying: the new version runs and is watched.
	Trying Phase = "trying"
	// Kept: the new version is what boots from now on.
	Kept Phase = "kept"
	// RolledBack: the new version was tried, and the former one runs again.
	RolledBack Phase = "rolled-back"
	// Failed: it was refused, or could not be written; the device runs what it ran.
	Failed Phase = "failed"
)

// Step is what happens to a part.
type Step string

// Steps of a part, in their order.
const (
	Waiting  Step = "waiting"   // it has to be sent
	Copying  Step = "copying"   // the device has it in the running slot and copies it from there
	Writing  Step = "writing"   // it comes in, is hashed and written
	ReadBack Step = "read-back" // it is read from the medium and compared
	Done     Step = "done"
)

// Status is the answer to GET /update of system.sock, and the most of GET /api/v1/update.
type Status struct {
	// Supported is false where there are no slots (a developer's machine); Why says so in a sentence.
	Supported bool   `json:"supported"`
	Why       string `json:"why,omitempty"`
	// Board, Version, Built and Slot are of the running system: what it says of itself.
	Board   string    `json:"board"`
	Version string    `json:"version"`
	Built   time.Time `json:"built"`
	Slot    string    `json:"slot"`
	// Other is the version in the other slot, empty when there is none that could be started.
	Other string `json:"other,omitempty"`

	Phase Phase `json:"phase"`
	// ID names the update that the rest is about; empty when Idle.
	ID     string    `json:"id,omitempty"`
	Target string    `json:"target,omitempty"` // its version
	Who    string    `json:"who,omitempty"`
	Began  time.Time `json:"began,omitzero"`
	Parts  []Part    `json:"parts,omitempty"`
	// Try is which attempt this is, from 1 to MaxTries; 0 before the first.
	Try      int     `json:"try,omitempty"`
	MaxTries int     `json:"max_tries,omitempty"`
	Checks   []Check `json:"checks,omitempty"`
	// HealthyFor and HealthyNeeded are seconds: how long all checks have been passed without a break, and how long they
	// must. Left is how many seconds remain until a version that does not get there is given up.
	HealthyFor    float64 `json:"healthy_for,omitempty"`
	HealthyNeeded float64 `json:"healthy_needed,omitempty"`
	Left          float64 `json:"left,omitempty"`
	// Reason is why it failed or was rolled back: a sentence or two for the owner.
	Reason string `json:"reason,omitempty"`
	// History is what became of former updates, newest first, at most MaxHistory.
	History []Event `json:"history"`
}

// MaxHistory bounds Status.History and what is kept of it.
const MaxHistory = 100

// Part is how far a part has come.
type Part struct {
	Name string `json:"name"` // PartBoot or PartRoot
	Step Step   `json:"step"`
	// Size is of the part as it is written, Done how much of the present step is done; bytes.
	Size int64 `json:"size"`
	Done int64 `json:"done"`
}

// Check is one thing that a version on trial must be able to do.
type Check struct {
	// Name is short ("screen"), Text says what is so, or what is missing, in a sentence.
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
	// Waived means that it is not asked for: the former version could not do it either when the update was installed.
	Waived bool `json:"waived,omitempty"`
}

// Event is what became of an update.
type Event struct {
	// ID is the update's, as in Status.
	ID   string    `json:"id,omitempty"`
	At   time.Time `json:"at"`
	From string    `json:"from"` // the version that ran
	To   string    `json:"to"`   // the version of the update
	// What is Kept, RolledBack or Failed.
	What Phase `json:"what"`
	// Reason says why, for all but Kept; Tries how often it was started; Who asked for it.
	Reason string `json:"reason,omitempty"`
	// Detail is evidence for whoever has to mend it: the kernel's last words, the trial's journal; at most 4 KiB.
	Detail string `json:"detail,omitempty"`
	Tries  int    `json:"tries,omitempty"`
	Who    string `json:"who,omitempty"`
}
