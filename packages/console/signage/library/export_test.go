package library

// Writing is how many connections of an account send now.
func (l *Library) Writing(by string) int {
	l.uploads.mu.Lock()
	defer l.uploads.mu.Unlock()
	return l.uploads.writing[by]
}
