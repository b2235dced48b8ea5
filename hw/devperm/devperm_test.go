package devperm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"porthole/hw/devperm"
	"porthole/hw/uevent"
)

const (
	video    = 2101
	somebody = 2003
)

// tree makes device nodes below a new folder that others can reach. Each is /dev/null, so that opening it works.
func tree(t *testing.T, nodes ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("making device nodes needs root: run the tests as root, as CI does")
	}
	root := t.TempDir()
	for _, dir := range []string{filepath.Dir(root), root} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		add(t, root, n)
	}
	return root
}

func add(t *testing.T, root, node string) {
	t.Helper()
	path := filepath.Join(root, "dev", node)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
}

// owners says who owns each node, and with which mode.
func owners(t *testing.T, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(filepath.Join(root, "dev"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		sys := st.Sys().(*syscall.Stat_t)
		got[strings.TrimPrefix(path, filepath.Join(root, "dev")+"/")] = fmt.Sprintf("%d:%d %04o", sys.Uid, sys.Gid, st.Mode().Perm())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// opens reports whether a user of a group can open the node for writing.
func opens(path string, gid uint32) bool {
	cmd := exec.Command("sh", "-c", `exec 3<>"$0"`, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody, Groups: []uint32{gid}}}
	return cmd.Run() == nil
}

const (
	granted = "0:2101 0660"
	kept    = "0:0 0600"
)

func TestGrant(t *testing.T) {
	root := tree(t, "dri/card0", "dri/renderD128", "fb0", "cec0", "snd/pcmC0D0p", "mem", "mmcblk0", "fbsplash", "input/event0")
	// What is no device node is left alone: a link would hand over what it leads to.
	if err := os.Symlink("../mem", filepath.Join(root, "dev/dri/card1")); err != nil {
		t.Fatal(err)
	}
	n := devperm.Nodes{Root: root}
	changed, err := n.Grant(video)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dri/card0", "dri/renderD128", "fb0", "cec0", "snd/pcmC0D0p"}, changed); diff != "" {
		t.Errorf("handed over (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"dri/card0": granted, "dri/renderD128": granted, "fb0": granted, "cec0": granted, "snd/pcmC0D0p": granted,
		"mem": kept, "mmcblk0": kept, "fbsplash": kept, "input/event0": kept, "dri/card1": "0:0 0777",
	}
	if diff := cmp.Diff(want, owners(t, root)); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	card := filepath.Join(root, "dev/dri/card0")
	if !opens(card, video) || opens(card, somebody) || opens(filepath.Join(root, "dev/mem"), video) {
		t.Error("the group cannot open its devices, or can open others")
	}
	if changed, err := n.Grant(video); err != nil || changed != nil {
		t.Errorf("the second time: %v, %v", changed, err)
	}
	if changed, err := (devperm.Nodes{Root: t.TempDir()}).Grant(video); err != nil || changed != nil {
		t.Errorf("without devices: %v, %v", changed, err)
	}
}

func TestGrantNew(t *testing.T) {
	root := tree(t, "fb0", "mem")
	n := devperm.Nodes{Root: root}
	event := func(action, name string) uevent.Event {
		return uevent.Event{Action: action, DevPath: "/devices/x", Vars: map[string]string{"DEVNAME": name}}
	}
	add(t, root, "dri/card0")
	for _, c := range []struct {
		name string
		ev   uevent.Event
		want []string
	}{
		{"one that comes", event("add", "dri/card0"), []string{"dri/card0"}},
		{"the same again", event("change", "dri/card0"), nil},
		{"one that goes", event("remove", "fb0"), nil},
		{"one that has gone", event("add", "cec0"), nil},
		{"another kind", event("add", "mem"), nil},
		{"a way out", event("add", "dri/../mem"), nil},
		{"no device", uevent.Event{Action: "add", DevPath: "/module/x", Vars: map[string]string{}}, nil},
		{"events were lost", uevent.Event{Lost: true}, []string{"fb0"}},
	} {
		got, err := n.GrantNew(c.ev, video)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	if got := owners(t, root); got["mem"] != kept {
		t.Errorf("mem is %s", got["mem"])
	}
}
