package rtsp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// TestRecordedPlayers replays what players said to other servers: each request gets its status, and pictures come from a
// key picture on, with the sender reports.
func TestRecordedPlayers(t *testing.T) {
	t.Parallel()
	h := startHub(t, patient, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("door"))
	v, _ := h.play(t, "door")
	eventually(t, "a second of pictures", func() bool { return len(v.of(rtsp.Video)) > 25 })
	files, err := filepath.Glob("testdata/sessions/*.txt")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			replay(t, dial(t, h), string(text))
		})
	}
}

var placeholder = regexp.MustCompile(`\{(url|base|session)\}`)

func replay(t *testing.T, k *talk, text string) {
	t.Helper()
	vars := map[string]string{"{url}": "rtsp://cams.example.org/door"}
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(name string) string {
			if vars[name] == "" {
				t.Fatalf("%s is not known yet in %q", name, s)
			}
			return vars[name]
		})
	}
	var challenge answer
	var request []string
	played := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		want, ends := strings.CutPrefix(line, "< ")
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "{digest "):
			f := strings.Fields(strings.TrimSuffix(fill(strings.TrimPrefix(line, "{digest ")), "}"))
			line = plainDigest(challenge, f[0], f[1])
		case !ends:
			line = fill(line)
		}
		if !ends {
			request = append(request, line)
			continue
		}
		first := strings.Fields(request[0])
		k.cseq = len(first) // replaced by the recorded number
		if _, err := fmt.Sscanf(request[1], "CSeq: %d", &k.cseq); err != nil {
			t.Fatal(err)
		}
		k.cseq--
		a := k.ask(first[0], first[1], request[2:]...)
		if itoa(a.status) != want {
			t.Fatalf("%s: %s, want %s", first[0], a.line, want)
		}
		if a.status == 401 {
			challenge = a
		}
		if base := a.header.Get("Content-Base"); base != "" {
			vars["{base}"] = base
		}
		if s, _, _ := strings.Cut(a.header.Get("Session"), ";"); s != "" {
			vars["{session}"] = s
		}
		if first[0] == "PLAY" {
			checkStart(t, k, a.header.Get("RTP-Info"))
			played = true
		}
		request = nil
	}
	if !played {
		t.Error("the session has no PLAY")
	}
}

// plainDigest answers a challenge as RFC 2617 has it, without quirks.
func plainDigest(challenge answer, method, url string) string {
	_, rest, _ := strings.Cut(challenge.header.Get("WWW-Authenticate"), `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	ha1 := md5Hex(user + ":" + rtsp.Realm + ":" + password)
	return fmt.Sprintf(`Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`,
		user, rtsp.Realm, nonce, url, md5Hex(ha1+":"+nonce+":"+md5Hex(method+":"+url)))
}
