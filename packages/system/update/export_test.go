package update

import "context"

// OnStep has f called before each change of what is on the disk beside the media: f may panic, as a power cut would.
func (c *Config) OnStep(f func(what string)) { c.step = f }

// Look looks once at a version on trial, as Run does every second.
func (e *Engine) Look(ctx context.Context) (over bool) { return e.look(ctx) }

// Wish is the restart that Run would do.
func (e *Engine) Wish() (other, wanted bool) {
	select {
	case w := <-e.restart:
		return w.other, true
	default:
		return false, false
	}
}

// CopyAll copies what the running slot has, as Run does.
func (e *Engine) CopyAll(ctx context.Context) {
	for {
		s, part, ok := e.nextCopy()
		if !ok {
			return
		}
		e.copyPart(ctx, s, part)
	}
}

// Parsers of what lies on the disk.
var (
	ParseRecord  = func(b []byte) (any, error) { return parseRecord(b) }
	ParseHistory = parseHistory
	ParseJournal = func(b []byte) (slot string, lines []string) {
		h, lines := parseJournal(b)
		return h.Slot, lines
	}
	HowFar    = howFar
	PanicLine = panicLine
	Waive     = waive
)
