package update_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/hw/block"
	"porthole/packages/internal/bootpart"
	shared "porthole/packages/internal/update"
	"porthole/packages/internal/update/updatetest"
	"porthole/packages/system/update"
)

const (
	oldVersion, newVersion = "v1.0.0", "v1.1.0"
	// rootSize is that of a root partition here, in bytes.
	rootSize = 1<<20 + 512<<10
	// rootBytes is that of what is written to it.
	rootBytes = 1<<20 + 128<<10
)

// small is a boot partition for tests.
var small = bootpart.Geometry{Size: 9 * 256 << 10, Region: 3 * 256 << 10, Align: 256 << 10}

var built = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// rig is a Raspberry Pi with a card of plain files, whose slot-a runs oldVersion.
type rig struct {
	t   testing.TB
	dir string
	key updatetest.Key
	// slot is the one that runs.
	slot   string
	booted time.Time
	// healthyFor and deadline are the trial's.
	healthyFor, deadline time.Duration
	// updates are what slots can be written from, by version.
	updates map[string]*updatetest.Update

	mu       sync.Mutex // guards what follows
	checks   []shared.Check
	restarts []bool
	// fault, if not nil, may fail what is done to a medium: op is "open", "write", "sync" or "read". It gets what is written, or
	// what was read and may be changed.
	fault func(device, op string, at int64, p []byte) error
	step  func(what string)
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: newCard(t), key: updatetest.NewKey(t), slot: shared.SlotA, healthyFor: 1, updates: map[string]*updatetest.Update{}}
	for _, dir := range []string{"keys", "perm/update", "run"} {
		if err := os.MkdirAll(r.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	updatetest.WriteKeys(t, r.path("keys"), r.key, updatetest.NewKey(t))
	for name, size := range map[string]int64{"boot": small.Size, "root-a": rootSize, "root-b": rootSize} {
		if err := os.WriteFile(r.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(r.path(name), size); err != nil {
			t.Fatal(err)
		}
	}
	m := r.medium("boot")
	defer m.Close()
	if err := bootpart.Format(m, bootpart.Options{
		Board: bootpart.BoardPi, Geometry: small, Serial: 1, Start: 4 << 20, Time: built,
		Files: map[string][]byte{"start.elf": []byte("firmware")},
	}); err != nil {
		t.Fatal(err)
	}
	r.writeSlot(shared.SlotA, oldVersion)
	if err := r.loader().Keep(shared.SlotA); err != nil {
		t.Fatal(err)
	}
	r.healthy()
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// update makes an update to a version, with parts of its own.
func (r *rig) update(version string) *updatetest.Update {
	if u := r.updates[version]; u != nil {
		return u
	}
	root := bytes.Repeat([]byte("root of "+version+". "), rootBytes/16)
	u := updatetest.New(r.t, bootpart.BoardPi, version, bootPart(r.t, version), root)
	r.updates[version] = u
	return u
}

// bootPart is the boot part of a version.
func bootPart(t testing.TB, version string) []byte {
	t.Helper()
	files := map[string]string{
		"vmlinuz": strings.Repeat("kernel "+version+" ", 20000), "cmdline.txt": "root=SLOT ro\n", "config.txt": "os_prefix=SLOT/\nkernel=vmlinuz\n",
		"overlays/README": "overlays\n",
	}
	var b bytes.Buffer
	w := bootpart.NewPartWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.File(name, int64(len(files[name])), built); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The standard library agrees that it is a tar.
	if _, err := tar.NewReader(bytes.NewReader(b.Bytes())).Next(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func partUUID(slot string) string {
	return map[string]string{shared.SlotA: "11223344-02", shared.SlotB: "11223344-03"}[slot]
}

func rootOf(slot string) string {
	return map[string]string{shared.SlotA: "root-a", shared.SlotB: "root-b"}[slot]
}

// writeSlot writes a version to a slot as the imager does.
func (r *rig) writeSlot(slot, version string) {
	r.t.Helper()
	u := r.update(version)
	manifest, signature := u.Signed(r.t, r.key)
	m := r.medium("boot")
	defer m.Close()
	p, err := bootpart.Open(m)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.WriteSlot(r.t.Context(), slot, bytes.NewReader(u.Content[shared.PartBoot]), bootpart.Slot{
		PartUUID: partUUID(slot), Extra: map[string][]byte{bootpart.Manifest: manifest, bootpart.Signature: signature},
	}, nil); err != nil {
		r.t.Fatal(err)
	}
	root := r.medium(rootOf(slot))
	defer root.Close()
	if _, err := root.WriteAt(u.Content[shared.PartRoot], 0); err != nil {
		r.t.Fatal(err)
	}
}

// medium opens a file of the card, without faults.
func (r *rig) medium(name string) *block.Medium {
	r.t.Helper()
	m, err := block.OpenMedium(r.path(name), block.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// loader is that of the card. It is used at once.
func (r *rig) loader() bootpart.Loader {
	r.t.Helper()
	m := r.medium("boot")
	r.t.Cleanup(func() { m.Close() })
	p, err := bootpart.Open(m)
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := p.Loader(bootpart.BoardPi)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// slotVersion says which version a slot holds whole; empty: none.
func (r *rig) slotVersion(slot string) string {
	r.t.Helper()
	m := r.medium("boot")
	defer m.Close()
	p, err := bootpart.Open(m)
	if err != nil {
		r.t.Fatal(err)
	}
	var boot bytes.Buffer
	if err := p.ReadSlot(r.t.Context(), slot, bootpart.Slot{PartUUID: partUUID(slot)}, &boot); err != nil {
		return ""
	}
	root, err := os.ReadFile(r.path(rootOf(slot)))
	if err != nil {
		r.t.Fatal(err)
	}
	for version, u := range r.updates {
		if bytes.Equal(boot.Bytes(), u.Content[shared.PartBoot]) && bytes.HasPrefix(root, u.Content[shared.PartRoot]) {
			return version
		}
	}
	return ""
}

// config is what the engine works on.
func (r *rig) config() update.Config {
	c := update.Config{
		Log: slog.New(slog.DiscardHandler), Dir: r.path("perm/update"), RunDir: r.path("run"),
		BuildFile: r.path("build.json"), BootStatusFile: r.path("boot-status.json"), KeysDir: r.path("keys"),
		Uptime: func() time.Duration { return time.Since(r.booted) },
		Medium: r.open, Checks: r, Healthy: r.healthyFor, Deadline: r.deadline,
		Restart: func(ctx context.Context, other bool) error {
			r.mu.Lock()
			r.restarts = append(r.restarts, other)
			r.mu.Unlock()
			<-ctx.Done() // the device restarts
			return ctx.Err()
		},
	}
	c.OnStep(func(what string) {
		r.mu.Lock()
		step := r.step
		r.mu.Unlock()
		if step != nil {
			step(what)
		}
	})
	return c
}

// start starts system in the slot that runs. reset is how the run before ended.
func (r *rig) start(reset, lastWords string) *update.Engine {
	r.t.Helper()
	version := r.slotVersion(r.slot)
	if version == "" {
		r.t.Fatalf("the device starts %s, which is not whole", r.slot)
	}
	r.describe(version, reset, lastWords)
	return update.New(r.config())
}

// describe writes what image and init say.
func (r *rig) describe(version, reset, lastWords string) {
	r.t.Helper()
	r.writeJSON("build.json", map[string]any{"board": "pi", "version": version, "time": built})
	r.writeJSON("boot-status.json", map[string]any{
		"board": "pi", "slot": r.slot, "disk": "card", "boot_device": "boot",
		"root_devices": map[string]string{shared.SlotA: "root-a", shared.SlotB: "root-b"},
		"partuuid":     map[string]string{shared.SlotA: partUUID(shared.SlotA), shared.SlotB: partUUID(shared.SlotB)},
		"reset":        reset, "last_words": lastWords,
	})
}

func (r *rig) writeJSON(name string, v any) {
	r.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(name, b)
}

func (r *rig) write(name string, b []byte) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// read returns a file, nil if there is none.
func (r *rig) read(name string) []byte {
	r.t.Helper()
	b, err := os.ReadFile(r.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return b
}

// restart starts the device as the firmware does: tryboot.txt's slot if that is asked for, else config.txt's.
func (r *rig) restart(other bool) {
	r.t.Helper()
	l := r.loader()
	slot, err := l.Default()
	if err != nil {
		r.t.Fatal(err)
	}
	if other {
		candidate := otherSlot(slot)
		if armed, _, err := l.Armed(candidate); err != nil {
			r.t.Fatal(err)
		} else if armed {
			slot = candidate
		}
	}
	r.slot, r.booted = slot, time.Now()
	// /run is in memory.
	if err := os.RemoveAll(r.path("run")); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Mkdir(r.path("run"), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

func otherSlot(slot string) string {
	if slot == shared.SlotA {
		return shared.SlotB
	}
	return shared.SlotA
}

// Look is what the checks say.
func (r *rig) Look(context.Context) []shared.Check {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.checks)
}

// healthy has all checks be passed, but for those named.
func (r *rig) healthy(but ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = nil
	for _, name := range []string{"processes", "console", "screen", "storage", "gateway"} {
		ok := !slices.Contains(but, name)
		text := "The " + name + " is well."
		if !ok {
			text = "The " + name + " is not well."
		}
		r.checks = append(r.checks, shared.Check{Name: name, OK: ok, Text: text})
	}
}

// wanted returns the restarts that were done.
func (r *rig) wanted() []bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.restarts)
}

func (r *rig) setFault(f func(device, op string, at int64, p []byte) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}
