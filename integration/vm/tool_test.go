package vm_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"porthole/integration/vm"
)

// secret matches an API token as the console shows it once.
var secret = regexp.MustCompile(`porthole_[A-Za-z0-9_-]{20,}`)

// token makes an API token for updates.
func (u console) token(t *testing.T) string {
	t.Helper()
	page, err := open(t.Context(), u.c, http.MethodPost, u.at+"/account/tokens", url.Values{"name": {"updates"}, "scope": {"update"}, "days": {"30"}})
	if err != nil {
		t.Fatal(err)
	}
	found := secret.FindString(page)
	if found == "" {
		t.Fatalf("the console shows no token:\n%s", page)
	}
	return found
}

// theTool is the command-line tool, compiled once.
var theTool built

func tool(t *testing.T) string {
	t.Helper()
	theTool.once.Do(func() {
		theTool.path = filepath.Join(workDir, "porthole")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", theTool.path, "./packages/porthole")
		cmd.Dir = repo
		if said, err := cmd.CombinedOutput(); err != nil {
			theTool.err = errors.New(string(said))
		}
	})
	if theTool.err != nil {
		t.Fatal(theTool.err)
	}
	return theTool.path
}

// updateCommand is `porthole update` on a machine. It trusts the machine by the fingerprint of its authority, as somebody
// does who reads that from the screen. It ends with the test.
func updateCommand(t *testing.T, m *vm.Machine, token string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t), append([]string{"update", "-to", m.Addr(443), "-fingerprint", fingerprint(t, m)}, args...)...)
	cmd.Env = append(os.Environ(), "PORTHOLE_TOKEN="+token, "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	return cmd
}

// fingerprint is the SHA-256 of a machine's own authority.
func fingerprint(t *testing.T, m *vm.Machine) string {
	t.Helper()
	c := visitor(t)
	var sum string
	eventually(t, "ask for the authority", func(ctx context.Context) error {
		text, err := open(ctx, c, http.MethodGet, "https://"+m.Addr(443)+"/ca.pem", nil)
		if err != nil {
			return err
		}
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return errors.New("it is no certificate")
		}
		b := sha256.Sum256(block.Bytes)
		sum = hex.EncodeToString(b[:])
		return nil
	})
	return sum
}

// tokenStatus asks the console how far an update is, as the tool does.
func tokenStatus(ctx context.Context, t *testing.T, m *vm.Machine, token string) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, askOnce)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+m.Addr(443)+"/api/v1/update", nil)
	if err != nil {
		return s, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Close = true
	res, err := visitor(t).Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s, errors.New(res.Status)
	}
	return s, json.NewDecoder(res.Body).Decode(&s)
}
