package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/bootpart"
	"porthole/packages/internal/update"
	engine "porthole/packages/system/update"
)

// rootPartition is that of a root partition here, in bytes.
const rootPartition = 40 << 20

// cardGeometry is the layout of a boot partition here.
var cardGeometry = bootpart.Geometry{Size: 8 << 20, Region: 3 << 20, Align: 256 << 10}

// card is a device whose card is in files. It answers as system does below /update, and /problems.
type card struct {
	t   testing.TB
	dir string
	// Slow is waited for before each write to a root partition, if it is not nil.
	Slow func()
	// healthy and deadline are those of trials.
	healthy, deadline time.Duration

	mu      sync.Mutex // guards what follows
	engine  *engine.Engine
	handler http.Handler
	spoiled string // its screen stays black
	slot    string
	booted  int
	away    bool
	stop    func()
}

// newCard returns a device that runs a release from slot-a and trusts a key, until the test ends.
func newCard(t testing.TB, k updateKey, runs updateFile) *card {
	t.Helper()
	d := &card{t: t, dir: t.TempDir(), slot: update.SlotA, healthy: time.Second, deadline: time.Minute}
	d.makeCard(k, runs)
	d.boot()
	t.Cleanup(func() { d.halt() })
	return d
}

func (d *card) path(name string) string { return filepath.Join(d.dir, name) }

func (d *card) must(err error) {
	if err != nil {
		d.t.Helper()
		d.t.Fatal(err)
	}
}

var partUUID = map[string]string{update.SlotA: "706f7069-02", update.SlotB: "706f7069-03"}

// makeCard makes the partitions, with a release in slot-a.
func (d *card) makeCard(k updateKey, runs updateFile) {
	for name, size := range map[string]int64{"boot": cardGeometry.Size, update.SlotA: rootPartition, update.SlotB: rootPartition} {
		d.must(os.WriteFile(d.path(name), nil, 0o600))
		d.must(os.Truncate(d.path(name), size))
	}
	m, err := openPartition(d.path("boot"), nil)
	d.must(err)
	defer m.Close()
	d.must(bootpart.Format(m, bootpart.Options{Board: updateBoard, Geometry: cardGeometry, Serial: 0x706f7069, Start: 4 << 20, Time: updateBuilt,
		Files: map[string][]byte{"start.elf": []byte("firmware")}}))
	p, err := bootpart.Open(m)
	d.must(err)
	d.must(p.WriteSlot(d.t.Context(), update.SlotA, bytes.NewReader(runs.Parts[update.PartBoot]), bootpart.Slot{PartUUID: partUUID[update.SlotA],
		Extra: map[string][]byte{bootpart.Manifest: runs.Raw, bootpart.Signature: runs.Signature}}, nil))
	l, err := p.Loader(updateBoard)
	d.must(err)
	d.must(l.Keep(update.SlotA))
	f, err := os.OpenFile(d.path(update.SlotA), os.O_WRONLY, 0)
	d.must(err)
	_, err = f.Write(runs.Parts[update.PartRoot])
	d.must(err)
	d.must(f.Close())
	d.must(os.Mkdir(d.path("keys"), 0o700))
	text, err := k.Public.MarshalText()
	d.must(err)
	d.must(os.WriteFile(filepath.Join(d.path("keys"), update.CurrentKey), text, 0o600))
}

// versionIn is what the slot says that it holds.
func (d *card) versionIn(slot string) string {
	m, err := openPartition(d.path("boot"), nil)
	d.must(err)
	defer m.Close()
	p, err := bootpart.Open(m)
	d.must(err)
	b, err := p.SlotFile(slot, bootpart.Manifest)
	d.must(err)
	var man update.Manifest
	d.must(json.Unmarshal(b, &man))
	return man.Version
}

// boot starts the engine as system does, in the slot.
func (d *card) boot() {
	run := d.path(fmt.Sprintf("run%d", d.booted))
	d.must(os.Mkdir(run, 0o700))
	d.booted++
	d.put("build.json", map[string]any{"board": updateBoard, "version": d.versionIn(d.slot), "time": updateBuilt})
	d.put("boot-status.json", map[string]any{
		"board": updateBoard, "slot": d.slot, "disk": "/dev/disk", "boot_device": "boot", "root_devices": map[string]string{update.SlotA: update.SlotA, update.SlotB: update.SlotB},
		"partuuid": partUUID, "reset": "software",
	})
	d.mu.Lock()
	healthy, deadline := d.healthy, d.deadline
	d.mu.Unlock()
	e := engine.New(engine.Config{
		Log: slog.New(slog.NewTextHandler(d.t.Output(), nil)), Dir: d.path("state"), RunDir: run,
		BuildFile: d.path("build.json"), BootStatusFile: d.path("boot-status.json"), KeysDir: d.path("keys"),
		Medium: func(device string) (engine.Medium, error) { return d.medium(device) },
		Restart: func(ctx context.Context, other bool) error {
			go d.restart(other)
			<-ctx.Done()
			return ctx.Err()
		},
		Checks: looker{d}, Healthy: healthy, Deadline: deadline,
	})
	mux := http.NewServeMux()
	e.Register(mux, func(h http.HandlerFunc) http.Handler { return h })
	mux.HandleFunc("GET /problems", func(w http.ResponseWriter, _ *http.Request) {
		list := []map[string]string{}
		if text := e.Problem(); text != "" {
			list = append(list, map[string]string{"area": "update", "text": text})
		}
		json.NewEncoder(w).Encode(map[string]any{"problems": list})
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.engine, d.handler, d.away = e, mux, false
	d.stop = func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Errorf("the engine ended with: %v", err)
		}
	}
}

func (d *card) put(name string, v any) {
	b, err := json.Marshal(v)
	d.must(err)
	d.must(os.WriteFile(d.path(name), b, 0o600))
}

// halt ends the engine.
func (d *card) halt() {
	d.mu.Lock()
	stop := d.stop
	d.stop, d.away = nil, true
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// restart starts the device again: into what is armed if other, as the firmware does.
func (d *card) restart(other bool) {
	d.halt()
	m, err := openPartition(d.path("boot"), nil)
	d.must(err)
	p, err := bootpart.Open(m)
	d.must(err)
	l, err := p.Loader(updateBoard)
	d.must(err)
	slot, err := l.Default()
	d.must(err)
	if o := map[string]string{update.SlotA: update.SlotB, update.SlotB: update.SlotA}[slot]; other {
		if armed, _, err := l.Armed(o); err == nil && armed {
			slot = o
		}
	}
	d.must(m.Close())
	d.mu.Lock()
	d.slot = slot
	d.mu.Unlock()
	d.boot()
}

// spoil makes a version one whose screen stays black.
func (d *card) spoil(version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spoiled = version
}

// setDeadline bounds trials that begin from now on, in seconds.
func (d *card) setDeadline(seconds int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = time.Duration(seconds) * time.Second
}

// status is what the engine says.
func (d *card) status() update.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.engine.Status()
}

// boots counts the starts.
func (d *card) boots() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.booted
}

// root is what the root partition of a slot begins with.
func (d *card) root(slot string, size int) []byte {
	f, err := os.Open(d.path(slot))
	d.must(err)
	defer f.Close()
	b := make([]byte, size)
	_, err = io.ReadFull(f, b)
	d.must(err)
	return b
}

// ServeHTTP answers as system.sock does; while the device restarts, connections break.
func (d *card) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	h, away := d.handler, d.away
	d.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler)
	}
	h.ServeHTTP(w, r)
}

type looker struct{ d *card }

func (l looker) Look(context.Context) []update.Check {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	screen := update.Check{Name: "screen", OK: true, Text: "The screen shows pictures."}
	if l.d.engine != nil && l.d.spoiled != "" && l.d.engine.Status().Version == l.d.spoiled {
		screen = update.Check{Name: "screen", Text: "The screen has shown no picture."}
	}
	return []update.Check{{Name: "processes", OK: true, Text: "Every process runs."}, screen}
}

// medium opens a partition.
func (d *card) medium(name string) (*partitionFile, error) {
	var slow func()
	if name != "boot" {
		slow = d.Slow
	}
	return openPartition(d.path(name), slow)
}

// partitionFile is a partition in a file.
type partitionFile struct {
	*os.File
	slow func()
}

func openPartition(name string, slow func()) (*partitionFile, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &partitionFile{f, slow}, nil
}

// Size implements engine.Medium.
func (f *partitionFile) Size() int64 {
	st, err := f.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}

// WriteAt implements io.WriterAt.
func (f *partitionFile) WriteAt(p []byte, at int64) (int, error) {
	if f.slow != nil {
		f.slow()
	}
	return f.File.WriteAt(p, at)
}
