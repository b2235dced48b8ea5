package playerapi_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"porthole/packages/console/signage"
)

// BenchmarkPlaylist is a thousand players that ask one after the other for a playlist of twenty pictures. Each may ask sixty
// times in a row: with more than 60,000 rounds this measures refusals.
func BenchmarkPlaylist(b *testing.B) {
	s := newServer(b)
	var pictures []string
	for i := range 20 {
		pictures = append(pictures, fmt.Sprintf("picture %d.jpg", i))
	}
	list := s.playlist("Menu", pictures)
	tokens := make([]string, 1000)
	for i := range tokens {
		p, err := s.store.CreatePlayer(b.Context(), signage.Player{Hostname: fmt.Sprint("player", i), Playlist: list.ID, Enabled: true})
		if err != nil {
			b.Fatal(err)
		}
		tokens[i] = fmt.Sprint("Bearer token", i)
		if err := s.store.AddAuthCode(b.Context(), p.ID, sha256.Sum256([]byte(tokens[i][len("Bearer "):])), time.Now().Add(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/playlists", nil)
		r.Header.Set("X-Forwarded-For", "192.168.0.7")
		r.Header.Set("Authorization", tokens[i%len(tokens)])
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		if w.Code != http.StatusOK && i < 50*len(tokens) {
			b.Fatal(w.Code, w.Body)
		}
	}
}
