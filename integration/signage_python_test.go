package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// python runs a program of testdata/signage with a home of its own and returns what it says.
func python(t *testing.T, home, name string, args ...string) string {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", "signage", name))
	if err != nil {
		t.Fatal(err)
	}
	// Debian's own, which has the package; another one on PATH may not.
	interpreter := "/usr/bin/python3"
	if _, err := os.Stat(interpreter); err != nil {
		interpreter = "python3"
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"-B", script}, args...)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "PYTHONIOENCODING=utf-8", "PYTHONWARNINGS=ignore"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v (Debian: python3-requests)\n%s", name, err, out)
	}
	return string(out)
}

type fieldPlaylist struct {
	PlayerID   int64  `json:"player_id"`
	PlayerName string `json:"player_name"`
	Version    int64  `json:"playlist_version"`
	Playlist   []struct {
		ID                                       int64
		FileName                                 string `json:"file_name"`
		Filename, Type, URL, Description, SHA256 string
		Duration, Position, Size                 int64
	}
	Count int
}

type fieldFile struct {
	Name  string
	Size  int64
	Right bool
}

// TestPlayersInTheField runs the players' own code, as documents 001, 002 and 004 have it, against the whole of Porthole:
// over TLS that they verify with the certificate that they are given.
func TestPlayersInTheField(t *testing.T) {
	c := newShop(t)
	home := t.TempDir()
	said := python(t, home, "day.py", c.URL(""), c.plainServer(), home)
	t.Logf("the players said:\n%s", said)
	if !strings.Contains(said, "✓ Server certificate installed from ") || strings.Count(said, "❌") != 2 {
		t.Errorf("the certificate was not installed")
	}
	b, err := os.ReadFile(filepath.Join(home, "day.json"))
	if err != nil {
		t.Fatal(err)
	}
	var day struct {
		Playlist, Again, Old, Simulation, Kivy, Edited fieldPlaylist
		ByID                                           fieldPlaylist `json:"by_id"`
		OldWithout                                     fieldPlaylist `json:"old_without"`
		Files                                          []fieldFile
		Plain                                          fieldPlaylist
		PlainFiles                                     []fieldFile            `json:"plain_files"`
		PlainFeedback                                  struct{ Success bool } `json:"plain_feedback"`
		NotLetIn                                       []any                  `json:"not_let_in"`
		EditedFiles                                    []fieldFile            `json:"edited_files"`
		Feedback                                       struct {
			Success bool
			Message string
		}
		Wrong        []any
		Auth, Verify map[string]any
		Edit         struct {
			Success     bool
			Message     string
			EditID      int64 `json:"edit_id"`
			Version     int64
			NewPlaylist int64 `json:"new_playlist_version"`
		}
	}
	if err := json.Unmarshal(b, &day); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	p := day.Playlist
	if p.PlayerName != "Screen kiosk" || p.Count != 2 || len(p.Playlist) != 2 || p.Version == 0 || !reflect.DeepEqual(p, day.Again) || !reflect.DeepEqual(p, day.Kivy) {
		t.Errorf("playlist %+v\nagain %+v\nKivy %+v", p, day.Again, day.Kivy)
	}
	for n, i := range p.Playlist {
		if i.Type != "image" || i.Duration != 10 || i.Position != int64(n+1) || i.FileName != i.Filename || !strings.HasPrefix(i.URL, c.URL("")+"/api/media/") || i.Size == 0 {
			t.Errorf("item %+v", i)
		}
	}
	for _, f := range slices.Concat(day.Files, day.EditedFiles, day.PlainFiles) {
		if !f.Right || f.Size < 100 {
			t.Errorf("downloaded %+v", f)
		}
	}
	if len(day.Files) != 2 || len(day.EditedFiles) != 2 || !day.Feedback.Success || len(day.Wrong) != 2 || day.Wrong[0] != 401.0 || !strings.Contains(day.Wrong[1].(string), "quick-connect code") {
		t.Errorf("files %v, feedback %+v, wrong code %v", day.Files, day.Feedback, day.Wrong)
	}
	if day.Plain.Count != 2 || len(day.PlainFiles) != 2 || !strings.HasPrefix(day.Plain.Playlist[0].URL, c.plainServer()+"/api/media/") || !day.PlainFeedback.Success {
		t.Errorf("without TLS: %+v, files %v, feedback %v", day.Plain, day.PlainFiles, day.PlainFeedback)
	}
	if !reflect.DeepEqual(day.NotLetIn, []any{426.0, c.URL("") + "/api/playlists"}) {
		t.Errorf("without TLS, not let in: %v", day.NotLetIn)
	}
	id := float64(day.ByID.PlayerID)
	for k, v := range map[string]any{"success": true, "player_id": id, "player_name": "Screen player1", "hostname": "player1", "group_id": nil, "orientation": "landscape"} {
		if got, ok := day.Auth[k]; !ok || got != v {
			t.Errorf("authenticate: %s is %v, want %v", k, got, v)
		}
	}
	for k, v := range map[string]any{"valid": true, "player_id": id, "player_name": "Screen player1", "hostname": "player1", "orientation": "landscape", "playlist_id": day.Auth["playlist_id"]} {
		if got, ok := day.Verify[k]; !ok || got != v {
			t.Errorf("verify: %s is %v, want %v", k, got, v)
		}
	}
	for name, other := range map[string]fieldPlaylist{"001": day.Old, "001 without an auth code": day.OldWithout, "simulation": day.Simulation} {
		if !reflect.DeepEqual(other, day.ByID) {
			t.Errorf("%s: %+v, want %+v", name, other, day.ByID)
		}
	}
	if e := day.Edit; !e.Success || e.EditID == 0 || e.Version != 2 || e.NewPlaylist != day.Edited.Version || day.Edited.Version <= day.ByID.Version ||
		day.Edited.Playlist[0].SHA256 == day.ByID.Playlist[0].SHA256 {
		t.Errorf("edit %+v, then %+v", e, day.Edited)
	}
	// The owner sees the players.
	eventually(t, "the owner sees what the screen reports", func() error {
		_, page, err := c.owner.Get(t.Context(), "/screens")
		if err == nil && !strings.Contains(page, "Screen kiosk") {
			err = os.ErrNotExist
		}
		return err
	})
}
