package resetcause

// Judge finds out how a run ended whose kernel left dump and console, with the Pi's register and the watchdog's status.
func Judge(dump, console string, rsts uint32, known, tryboot bool, dog int) Report {
	return judge(evidence{dumps: []string{dump}, console: console, rsts: rsts, rstsKnown: known, tryboot: tryboot, dog: dog, dogKnown: true})
}
