package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"porthole/packages/internal/durable"
	"porthole/packages/internal/program"
)

const (
	mediaDir, partsDir, originsDir = "media", "parts", "urls"
	programFile, oldProgramFile    = "program.json", "program.old.json"
	dirMode, fileMode              = 0o700, 0o600

	// maxProgram and maxSidecar bound what is read back, in bytes.
	maxProgram, maxSidecar = 64 << 20, 64 << 10
	// touchEvery is how often it is written down that a file was played: enough to tell which was not for long.
	touchEvery = time.Hour
)

// disk is what lies below the folder, as far as it is known. The cache's mutex guards it.
type disk struct {
	dir     string
	files   map[string]file   // by content
	parts   map[string]int64  // bytes of downloads that are not complete, by key
	origins map[string]origin // by address
}

// file is a medium that is complete.
type file struct {
	size int64
	// good says that it was verified, or is as long as one that was.
	good bool
	used time.Time
}

// origin says what came from an address whose content the server does not say.
type origin struct {
	URL    string `json:"url"`
	Tag    string `json:"tag"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// sidecar says what is known of a download that is not complete.
type sidecar struct {
	URL string `json:"url"`
	Tag string `json:"tag"`
	// Size is the medium's, -1 where the server does not say. Done bytes of it are on the disk for sure.
	Size int64 `json:"size"`
	Done int64 `json:"done"`
}

// envelope is program.json.
type envelope struct {
	// SHA256 is of the bytes of Program.
	SHA256  string          `json:"sha256"`
	Program json.RawMessage `json:"program"`
}

func (d *disk) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

// prepare makes the folders that are missing.
func (d *disk) prepare() error {
	made := false
	for _, name := range []string{mediaDir, partsDir, originsDir} {
		if _, err := os.Stat(d.path(name)); err == nil {
			continue
		}
		if err := os.MkdirAll(d.path(name), dirMode); err != nil {
			return fmt.Errorf("make folder of the cache: %w", err)
		}
		made = true
	}
	if !made {
		return nil
	}
	if err := durable.SyncDir(d.dir); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(d.dir))
}

// scan looks at what is there.
func (d *disk) scan() {
	d.files, d.parts, d.origins = map[string]file{}, map[string]int64{}, map[string]origin{}
	each(d.path(mediaDir), func(name string, st fs.FileInfo) {
		if isHash(name) && st.Mode().IsRegular() {
			d.files[name] = file{size: st.Size(), used: st.ModTime()}
		} else {
			os.RemoveAll(d.path(mediaDir, name))
		}
	})
	each(d.path(partsDir), func(name string, st fs.FileInfo) {
		key, isSidecar := strings.CutSuffix(name, ".json")
		switch {
		case !isHash(strings.TrimPrefix(key, "url-")) || !st.Mode().IsRegular():
			os.RemoveAll(d.path(partsDir, name))
		case !isSidecar:
			d.parts[key] = st.Size()
		default:
			if _, err := os.Stat(d.path(partsDir, key)); err != nil {
				os.Remove(d.path(partsDir, name))
			}
		}
	})
	each(d.path(originsDir), func(name string, _ fs.FileInfo) {
		b, err := readBounded(d.path(originsDir, name), maxSidecar)
		o, errParse := parseOrigin(b)
		if err != nil || errParse != nil || name != addressKey(o.URL)+".json" {
			os.RemoveAll(d.path(originsDir, name))
			return
		}
		d.origins[o.URL] = o
	})
}

// each calls f for what a folder has.
func each(dir string, f func(name string, st fs.FileInfo)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // prepare said why
	}
	for _, e := range entries {
		if st, err := e.Info(); err == nil {
			f(e.Name(), st)
		}
	}
}

// touch notes that a file is played.
func (d *disk) touch(sha string, now time.Time) {
	f := d.files[sha]
	if now.Sub(f.used).Abs() < touchEvery {
		return
	}
	f.used = now
	d.files[sha] = f
	// Where that cannot be written down, it only goes earlier than it should.
	_ = os.Chtimes(d.path(mediaDir, sha), now, now)
}

// remove removes a complete file, and what is known of where it came from.
func (d *disk) remove(sha string) {
	os.Remove(d.path(mediaDir, sha))
	delete(d.files, sha)
	for url, o := range d.origins {
		if o.SHA256 == sha {
			os.Remove(d.path(originsDir, addressKey(url)+".json"))
			delete(d.origins, url)
		}
	}
}

// removePart removes a download.
func (d *disk) removePart(key string) {
	os.Remove(d.path(partsDir, key+".json"))
	os.Remove(d.path(partsDir, key))
	delete(d.parts, key)
}

func (d *disk) writeOrigin(o origin) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("keep where a medium came from: %w", err)
	}
	return durable.WriteFile(d.path(originsDir, addressKey(o.URL)+".json"), b, fileMode)
}

func parseOrigin(b []byte) (origin, error) {
	var o origin
	if err := json.Unmarshal(b, &o); err != nil {
		return origin{}, fmt.Errorf("read where a medium came from: %w", err)
	}
	if o.URL == "" || o.Size <= 0 || !isHash(o.SHA256) {
		return origin{}, errors.New("read where a medium came from: something is missing")
	}
	return o, nil
}

func parseSidecar(b []byte) (sidecar, error) {
	var s sidecar
	if err := json.Unmarshal(b, &s); err != nil {
		return sidecar{}, fmt.Errorf("read what is known of a download: %w", err)
	}
	if s.Size < -1 || s.Done < 0 || s.Size >= 0 && s.Done > s.Size {
		return sidecar{}, errors.New("read what is known of a download: its sizes are wrong")
	}
	return s, nil
}

// saveProgram writes what plays. The one before stays as the old one.
func (d *disk) saveProgram(p program.Program) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep program: %w", err)
	}
	sum := sha256.Sum256(body)
	b, err := json.Marshal(envelope{SHA256: hex.EncodeToString(sum[:]), Program: body})
	if err != nil {
		return fmt.Errorf("keep program: %w", err)
	}
	was, err := readBounded(d.path(programFile), maxProgram)
	if err == nil && bytes.Equal(was, b) {
		return nil
	}
	if err == nil {
		_, err = parseProgram(was)
	}
	if err == nil {
		if err := d.keepOld(); err != nil {
			return err
		}
	}
	return durable.WriteFile(d.path(programFile), b, fileMode)
}

// keepOld makes the program the old one, by another name of the file: at every moment one of the two can be read. A file
// system without such names keeps none.
func (d *disk) keepOld() error {
	link := d.path(oldProgramFile + durable.Suffix)
	os.Remove(link)
	if os.Link(d.path(programFile), link) != nil {
		return nil
	}
	if err := os.Rename(link, d.path(oldProgramFile)); err != nil {
		return fmt.Errorf("keep the old program: %w", err)
	}
	return nil
}

func parseProgram(b []byte) (program.Program, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return program.Program{}, fmt.Errorf("read program: %w", err)
	}
	if sum := sha256.Sum256(e.Program); e.SHA256 != hex.EncodeToString(sum[:]) {
		return program.Program{}, errors.New("read program: it is damaged")
	}
	p, err := program.Parse(e.Program)
	if err != nil {
		return program.Program{}, err
	}
	return clone(p), nil
}

// loadProgram reads what played last, nil if nothing did. The error says what is wrong with program.json.
func (d *disk) loadProgram() (*program.Program, error) {
	var problem error
	for _, name := range []string{programFile, oldProgramFile} {
		b, err := readBounded(d.path(name), maxProgram)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var p program.Program
		if err == nil {
			p, err = parseProgram(b)
		}
		if err == nil {
			return &p, problem
		}
		problem = errors.Join(problem, err)
	}
	return nil, problem
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if st.Size() > most {
		return nil, fmt.Errorf("read %s: it has %d bytes", path, st.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return b, nil
}
