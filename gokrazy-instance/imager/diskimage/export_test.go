package diskimage

import (
	"bytes"
	"encoding/json"
	"time"
)

// Parts that are tested by themselves.
var (
	PiConfig     = piConfig
	CABundle     = caBundle
	Compress     = compress
	EscapeModule = escapeModule
	LookPath     = lookPath
)

// Instance returns a board's process list and the config.json that gok gets.
func Instance(dir, board, version string) ([]Process, map[string]any, error) {
	in, err := readInstance(dir, board)
	if err != nil {
		return nil, nil, err
	}
	in.stamp(version)
	b, err := json.Marshal(in.config())
	if err != nil {
		return nil, nil, err
	}
	var config map[string]any
	return in.processes(), config, json.Unmarshal(b, &config)
}

// TarOf returns a folder as a tar stream.
func TarOf(dir string, at time.Time) ([]byte, error) {
	t := tree{}
	if err := t.addDir("", dir); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := t.writeTar(&out, at)
	return out.Bytes(), err
}

// MBROf returns a board's first sector.
func MBROf(b Board) []byte {
	return mbr(b.DiskID, (&Builder{Board: b, Out: "none"}).partitions())
}

// BootTarOf returns the boot part of a build with these files in its slot.
func BootTarOf(files map[string]string, version string, at time.Time) ([]byte, error) {
	b := &Builder{Version: version, Time: at, part: tree{}}
	for name, text := range files {
		b.part.file(name, []byte(text))
	}
	var out bytes.Buffer
	err := b.BootTar(&out)
	return out.Bytes(), err
}

// InstanceWith returns the process list of an instance with further flags.
func InstanceWith(dir string, args map[string][]string) ([]Process, error) {
	in, err := readInstance(dir, "pi")
	if err != nil {
		return nil, err
	}
	if err := in.addArgs(args); err != nil {
		return nil, err
	}
	return in.processes(), nil
}
