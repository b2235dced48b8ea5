package bootstatus_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/gokrazy-instance/init/bootstatus"
	"porthole/gokrazy-instance/init/perm"
)

// newDisk writes a disk's first sector and a build's description.
func newDisk(t *testing.T) (disk perm.Disk, build string) {
	t.Helper()
	dir := t.TempDir()
	sector := make([]byte, 512)
	binary.LittleEndian.PutUint32(sector[440:], 0x706f766d)
	sector[510], sector[511] = 0x55, 0xaa
	disk = perm.Disk{Node: filepath.Join(dir, "vda"), Own: 3, Partitions: map[int]string{
		1: "/dev/vda1", 2: "/dev/vda2", 3: "/dev/vda3", 4: "/dev/vda4"}}
	build = filepath.Join(dir, "build.json")
	for path, b := range map[string][]byte{
		disk.Node: sector, build: []byte(`{"board":"vm","version":"v1.2.3","time":"2026-01-01T00:00:00Z"}`),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return disk, build
}

func TestStatus(t *testing.T) {
	disk, build := newDisk(t)
	for own, slot := range map[int]string{2: "slot-a", 3: "slot-b", 4: ""} {
		disk.Own = own
		got, err := bootstatus.Read(disk, build)
		want := bootstatus.Status{
			Board: "vm", Slot: slot, Disk: disk.Node, BootDevice: "/dev/vda1",
			RootDevices: map[string]string{"slot-a": "/dev/vda2", "slot-b": "/dev/vda3"},
			PartUUID:    map[string]string{"slot-a": "706f766d-02", "slot-b": "706f766d-03"}, Reset: "unknown",
		}
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v\n%s", err, cmp.Diff(want, got))
		}
	}
}

// TestWithoutAll: what cannot be found out is told and does not keep the rest back.
func TestWithoutAll(t *testing.T) {
	disk, build := newDisk(t)
	if err := os.WriteFile(build, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := bootstatus.Read(disk, build)
	if err == nil || s.Board != "" || s.Slot != "slot-b" || s.PartUUID["slot-b"] != "706f766d-03" {
		t.Errorf("a damaged description gives %+v, %v", s, err)
	}
	if err := os.WriteFile(disk.Node, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := bootstatus.Read(disk, build); err == nil || len(s.PartUUID) != 0 || s.Slot != "slot-b" {
		t.Errorf("a disk without a table gives %+v, %v", s, err)
	}
	disk.Node, build = disk.Node+"-gone", build+"-gone"
	if s, err := bootstatus.Read(disk, build); err == nil || s.Slot != "slot-b" {
		t.Errorf("nothing there gives %+v, %v", s, err)
	}
}

func TestWrite(t *testing.T) {
	disk, build := newDisk(t)
	s, err := bootstatus.Read(disk, build)
	if err != nil {
		t.Fatal(err)
	}
	s.Reset, s.Detail, s.LastWords = "watchdog", "it ran out", "last"
	path := filepath.Join(t.TempDir(), "boot-status.json")
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["slot"] != "slot-b" || got["reset"] != "watchdog" || got["reset_detail"] != "it ran out" || got["last_words"] != "last" {
		t.Errorf("wrote %s", b)
	}
	if err := s.Write(filepath.Join(path, "below")); err == nil {
		t.Error("a status that cannot be written is no error")
	}
}
