package processes

// Users are the user ids by process.
func Users() map[string]int { return users }
