package vm_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// cardSize is a card sold as 128 GB.
const cardSize = 119 << 30

// permStatus is what init leaves for screen and console.
type permStatus struct {
	State     string   `json:"state"`
	Problem   string   `json:"problem"`
	SizeBytes int64    `json:"size_bytes"`
	WasBytes  int64    `json:"was_bytes"`
	Check     []string `json:"check"`
}

func readPermStatus(t *testing.T, a vm.Agent) permStatus {
	t.Helper()
	var text string
	eventually(t, "read the storage's status", func(ctx context.Context) (err error) {
		text, err = a.ReadFile(ctx, "/run/porthole/perm-status.json")
		return err
	})
	var s permStatus
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("the storage's status is %q: %v", text, err)
	}
	return s
}

// browser is somebody with cookies, who clicks the certificate warning away.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the first contact with a device
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// open returns a page.
func open(ctx context.Context, c *http.Client, method, at string, form url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, b)
	}
	return string(b), nil
}

// TestVM boots a fresh image on a large card, then damages the card, then pulls the plug again and again.
func TestVM(t *testing.T) {
	disk := newDisk(t, theVMImage(t), cardSize)
	if !t.Run("first boot", func(t *testing.T) { firstBoot(t, disk) }) {
		return
	}
	t.Run("damaged superblock", func(t *testing.T) { damagedSuperblock(t, disk) })
	t.Run("power cuts", func(t *testing.T) { powerCuts(t, disk) })
}

// firstBoot: every process runs, the console answers, /perm has the whole card.
func firstBoot(t *testing.T, disk string) {
	m := startVM(t, disk)
	waitProcesses(t, m)
	t.Log("all processes run")
	c, at := browser(t), "https://"+m.Addr(443)
	eventually(t, "log in to the console", func(ctx context.Context) error {
		page, err := open(ctx, c, http.MethodPost, at+"/login", url.Values{"user": {"admin"}, "password": {password}})
		if err == nil && !strings.Contains(page, "/logout") {
			err = fmt.Errorf("the console did not let the admin of porthole.toml in:\n%s", page)
		}
		return err
	})
	eventually(t, "see all processes in the console", func(ctx context.Context) error {
		page, err := open(ctx, c, http.MethodGet, at+"/", nil)
		for _, name := range processNames(t) {
			if err == nil && !strings.Contains(page, "process/"+name+"/state") {
				err = fmt.Errorf("the home page does not show %s:\n%s", name, page)
			}
		}
		return err
	})
	t.Log("the console answers")

	a := m.Agent()
	if s := readPermStatus(t, a); s.State != "ok" || s.Problem != "" || s.SizeBytes < cardSize*98/100-(1<<30) || s.WasBytes != 64<<20 {
		t.Errorf("the storage's status is %+v", s)
	}
	if size, err := a.SizeOf(t.Context(), "/perm"); err != nil || size < cardSize*98/100 {
		t.Errorf("/perm has %d bytes of %d: %v", size, int64(cardSize), err)
	}
	mounts, err := a.ReadFile(t.Context(), "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for dir, flags := range map[string][]string{
		"/perm": {"rw", "nosuid", "nodev", "noexec", "noatime"},
		"/boot": {"ro", "nosuid", "nodev", "noexec"},
		"/":     {"ro"},
	} {
		checkMount(t, mounts, dir, flags)
	}
	checkRunDir(t, a)
	checkUsers(t, a, c, at)
	if n := m.Resets(); n != 0 {
		t.Errorf("the machine was reset %d times", n)
	}
	if err := a.WriteFile(t.Context(), "/perm/marker-0", "kept"); err != nil {
		t.Fatal(err)
	}
}

func checkMount(t *testing.T, mounts, dir string, flags []string) {
	t.Helper()
	found := 0
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != dir {
			continue
		}
		found++
		for _, flag := range flags {
			if !strings.Contains(","+f[3]+",", ","+flag+",") {
				t.Errorf("%s is mounted without %s: %s", dir, flag, line)
			}
		}
	}
	if found != 1 {
		t.Errorf("%s is mounted %d times:\n%s", dir, found, mounts)
	}
}

// checkRunDir: each process has a folder of its own below /run/porthole that another one's user cannot enter.
func checkRunDir(t *testing.T, a vm.Agent) {
	t.Helper()
	for name, uid := range map[string]int{"proxy": 2001, "signaling": 2002, "console": 2004} {
		dir := "/run/porthole/" + name
		if may, err := a.MayOpen(t.Context(), uid, nil, dir); err != nil || !may {
			t.Errorf("%s may not enter %s: %v", name, dir, err)
		}
		if may, err := a.MayOpen(t.Context(), 2003, nil, dir); err != nil || may {
			t.Errorf("another user may enter %s: %v", dir, err)
		}
	}
}

// damagedSuperblock: the first block of /perm is gone; e2fsck takes a copy of it, and the data is there.
func damagedSuperblock(t *testing.T, disk string) {
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	if string(readAt(t, disk, parts[3].Start+1024+0x38, 2)) != "\x53\xef" {
		t.Fatal("there is no ext4 superblock to damage")
	}
	overwrite(t, disk, parts[3].Start, 4096)
	m := startVM(t, disk)
	waitProcesses(t, m)
	a := m.Agent()
	s := readPermStatus(t, a)
	if s.State != "repaired" || !strings.Contains(s.Problem, "has been repaired") || len(s.Check) == 0 || s.WasBytes != 0 {
		t.Errorf("the storage's status is %+v", s)
	}
	if got, err := a.ReadFile(t.Context(), "/perm/marker-0"); err != nil || got != "kept" {
		t.Errorf("the marker is %q: %v", got, err)
	}
	if size, err := a.SizeOf(t.Context(), "/perm"); err != nil || size < cardSize*98/100 {
		t.Errorf("/perm has %d bytes: %v", size, err)
	}
}

// powerCuts: what was acknowledged is there after the plug was pulled right then.
func powerCuts(t *testing.T, disk string) {
	for cut := 1; cut <= 5; cut++ {
		m := startVM(t, disk)
		a := m.Agent()
		s := readPermStatus(t, a)
		if s.State != "ok" || s.Problem != "" {
			t.Errorf("before cut %d, the storage's status is %+v", cut, s)
		}
		for old := range cut {
			name := fmt.Sprintf("/perm/marker-%d", old)
			if got, err := a.ReadFile(t.Context(), name); err != nil || got != "kept" {
				t.Errorf("before cut %d, %s is %q: %v", cut, name, got, err)
			}
		}
		if err := a.WriteFile(t.Context(), fmt.Sprintf("/perm/marker-%d", cut), "kept"); err != nil {
			t.Fatal(err)
		}
		m.Kill()
		t.Logf("cut %d of 5", cut)
	}
	m := startVM(t, disk)
	waitProcesses(t, m)
	if got, err := m.Agent().ReadFile(t.Context(), "/perm/marker-5"); err != nil || got != "kept" {
		t.Errorf("after the last cut, its marker is %q: %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := m.PressPower(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(ctx); err != nil {
		t.Fatalf("the power button does not switch off: %v", err)
	}
	// After a clean end, another machine's e2fsck must find nothing at all to mend.
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	runTool(t, "e2fsprogs", "e2fsck", "-f", "-n", fmt.Sprintf("%s?offset=%d", disk, parts[3].Start))
}

// TestBeyondRepair: a storage of which nothing is left is not touched; the device starts without it and says so.
func TestBeyondRepair(t *testing.T) {
	// Not enlarged, the storage has no second superblock.
	disk := newDisk(t, theVMImage(t), 0)
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("lost "), int(parts[3].Size)/5), parts[3].Start); err != nil {
		t.Fatal(err)
	}
	before := sum(t, cutOut(t, disk, 4))
	m := startVM(t, disk)
	a := m.Agent()
	s := readPermStatus(t, a)
	if s.State != "failed" || !strings.Contains(s.Problem, "could not be repaired") || s.SizeBytes != 0 {
		t.Errorf("the storage's status is %+v", s)
	}
	mounts, err := a.ReadFile(t.Context(), "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(mounts, " /perm ") {
		t.Errorf("the damaged storage is mounted:\n%s", mounts)
	}
	// Whoever can do without it is there.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := m.WaitSerial(ctx, 0, `processes: running:.* dhcp .*proxy .*signaling`); err != nil {
		t.Error(err)
	}
	m.Kill()
	if after := sum(t, cutOut(t, disk, 4)); after != before {
		t.Error("the damaged storage was written to")
	}
}
