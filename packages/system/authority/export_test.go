package authority

// Words says an error for people.
func Words(err error) string { return words(err) }
