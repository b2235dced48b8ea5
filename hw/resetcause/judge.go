package resetcause

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Bits of the Pi's register PM_RSTS, as the firmware hands it on: "had power-on reset", and "had … hard, full, quick reset"
// of software, watchdog and debugger (https://github.com/raspberrypi/linux/issues/932). A power-on clears all others; a later
// reset may leave its bit: 0x1000, then 0x20 or 0x1020 (issues 1586 and 4527, pull request 2719). The partition number that a
// restart names shares the bits 0, 2, 4, 6, 8 and 10, so only HADWRF counts for the watchdog. An ordinary restart is done by the
// watchdog's circuit too (drivers/watchdog/bcm2835_wdt.c).
const (
	hadPowerOn  = 1 << 12
	hadWatchdog = 1 << 5
)

// cardReset is WDIOF_CARDRESET (linux/watchdog.h): the watchdog has restarted the machine.
const cardReset = 0x20

// evidence is what the run before has left.
type evidence struct {
	// dumps are the kernel's dumps, one for each oops or panic (fs/pstore: "Panic#1 Part1" on the first line); console is the
	// end of what was on its console.
	dumps   []string
	console string
	// rsts is the Pi's register, if it is known; tryboot is whether the firmware was told to start the other slot this time.
	rsts      uint32
	rstsKnown bool
	tryboot   bool
	// dog is the watchdog's boot status, if there is one.
	dog      int
	dogKnown bool
}

// Marks in the kernel's log. The first three are the kernel's own (kernel/panic.c, kernel/reboot.c); the others are init's
// (gokrazy-instance/init): Said is what it says at each start, so that a run that left nothing else is known to have been
// recorded.
const (
	panicMark   = "Kernel panic - not syncing"
	restartMark = "reboot: Restarting system"
	offMark     = "reboot: Power down"
	hungryMark  = "watchdog: not fed"
	fedMark     = "watchdog: fed again"
	tryMark     = "Restarting system with command '0 tryboot'"
)

// judge finds out how the run ended: by what its kernel said last, and where that says nothing, by what the hardware knows.
func judge(e evidence) Report {
	if dump := lastDump(e.dumps); dump != "" {
		return Report{Cause: Panic, Detail: "The kernel stopped: " + stopped(dump) + ".", LastWords: end(dump)}
	}
	words := end(e.console)
	if strings.Contains(e.console, panicMark) {
		return Report{Cause: Panic, Detail: "The kernel stopped: " + stopped(e.console) + ".", LastWords: words}
	}
	hungry, fed := strings.LastIndex(e.console, hungryMark), strings.LastIndex(e.console, fedMark)
	restarted := strings.LastIndex(e.console, restartMark)
	switch {
	// Init restarts the machine in order if the watchdog does not do it.
	case hungry > fed:
		return Report{Cause: Watchdog, Detail: "The watchdog restarted it: " + why(e.console[hungry:]) + ".", LastWords: words}
	case e.dogKnown && e.dog&cardReset != 0:
		return Report{Cause: Watchdog, Detail: "The watchdog restarted it.", LastWords: words}
	case restarted >= 0 && strings.Contains(e.console[restarted:], tryMark) && !e.tryboot && e.rstsKnown:
		// It was to start the other slot and this is the former one again: between the two was a run that left no word.
		r := byBits(e.rsts, true)
		r.Detail += " The run before this one ended before its kernel could say anything."
		return r
	case restarted >= 0:
		return Report{Cause: Software, Detail: "It was restarted in order.", LastWords: words}
	case strings.Contains(e.console, offMark):
		return Report{Cause: Power, Detail: "It was switched off in order.", LastWords: words}
	case e.rstsKnown:
		r := byBits(e.rsts, e.console != "")
		r.LastWords = words
		return r
	}
	return Report{Cause: Unknown, Detail: "Nothing is left that says how it ended.", LastWords: words}
}

// byBits goes by the Pi's register. recorded says that an ordinary restart would have been found in the log.
func byBits(rsts uint32, recorded bool) Report {
	switch {
	case rsts&hadWatchdog != 0 && recorded:
		return Report{Cause: Watchdog, Detail: fmt.Sprintf("The watchdog restarted it (PM_RSTS %#x).", rsts)}
	case rsts&hadWatchdog != 0:
		return Report{Cause: Unknown, Detail: fmt.Sprintf("It was restarted, in order or by the watchdog (PM_RSTS %#x).", rsts)}
	case rsts&hadPowerOn != 0:
		return Report{Cause: Power, Detail: fmt.Sprintf("The power was cut or switched on (PM_RSTS %#x).", rsts)}
	}
	return Report{Cause: Unknown, Detail: fmt.Sprintf("Nothing is left that says how it ended (PM_RSTS %#x).", rsts)}
}

// header is a dump's first line: what it is about, counted over the run.
var header = regexp.MustCompile(`^(Panic|Oops)#([0-9]{1,9}) Part`)

// lastDump returns the one that tells most: the last panic, else the last oops (which is one too with oops=panic).
func lastDump(dumps []string) string {
	rank := func(dump string) string {
		m := header.FindStringSubmatch(dump)
		if m == nil {
			return ""
		}
		return fmt.Sprintf("%s %09s", strings.Replace(m[1], "Oops", "A", 1), m[2])
	}
	best := ""
	for _, d := range dumps {
		if r := rank(d); r != "" && r >= rank(best) {
			best = d
		}
	}
	return best
}

// reasons are lines that say why a kernel stopped, the best first.
var reasons = []*regexp.Regexp{
	regexp.MustCompile(`Kernel panic - not syncing[^\n]*`),
	regexp.MustCompile(`(?:Unable to handle kernel|BUG:|Internal error:|Oops:|kernel BUG at)[^\n]*`),
}

// maxReason bounds a reason, in bytes.
const maxReason = 300

func stopped(log string) string {
	for _, r := range reasons {
		if all := r.FindAllString(log, -1); len(all) > 0 {
			return short(all[len(all)-1])
		}
	}
	return "it does not say why"
}

// why is what init has said after the mark on not feeding the watchdog.
func why(log string) string {
	line, _, _ := strings.Cut(log, "\n")
	_, reason, ok := strings.Cut(line, "the device will restart: ")
	if !ok {
		return "it was not fed any more"
	}
	return short(reason)
}

// short is one line of bounded length without anything unprintable.
func short(s string) string {
	s = strings.TrimRight(strings.TrimSpace(printable(s)), ".")
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

// level is what the kernel puts before a line in a dump.
var level = regexp.MustCompile(`(?m)^<[0-9]{1,3}>`)

// end returns the last lines of a log, at most MaxLastWords.
func end(log string) string {
	log = level.ReplaceAllString(log, "")
	lines := strings.Split(log, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(printable(lines[i]), " ")
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	size, from := 0, len(lines)
	for from > 0 && size+len(lines[from-1])+1 <= MaxLastWords {
		from--
		size += len(lines[from]) + 1
	}
	return strings.Join(lines[from:], "\n")
}

// printable replaces what would disturb a page or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
