// Package processes turns the image's process list into gokrazy services and makes the folders that the processes
// expect below /run/porthole.
package processes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gokrazy/gokrazy"
)

// users are the user ids of the processes that have one of their own, as in packages/internal/unixsock, which only the
// processes themselves may import; a test compares the two.
var users = map[string]int{
	"system":    0,
	"proxy":     2001,
	"signaling": 2002,
	"player":    2003,
	"console":   2004,
	"network":   2005,
}

// VideoGroup is the group that screens are handed over to, GIDVideo in packages/internal/unixsock.
const VideoGroup = 2101

// User returns the user id of a process.
func User(name string) (uid int, ok bool) {
	uid, ok = users[name]
	return uid, ok
}

// Process is an entry of the list, which the imager makes from gokrazy-instance/pi/config.json.
type Process struct {
	Path         string   `json:"path"`
	Args         []string `json:"args"`
	Env          []string `json:"env"`
	Stopped      bool     `json:"stopped"`
	WaitForClock bool     `json:"wait_for_clock"`
}

// Name is what the process is called everywhere: in sockets, folders, logs.
func (p Process) Name() string { return filepath.Base(p.Path) }

// Read reads the list.
func Read(path string) ([]Process, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read process list: %w", err)
	}
	var list []Process
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read process list %s: %w", path, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("process list %s is empty", path)
	}
	for _, p := range list {
		if !filepath.IsAbs(p.Path) {
			return nil, fmt.Errorf("process list %s: %q is not an absolute path", path, p.Path)
		}
	}
	return list, nil
}

// Services returns the list as services for gokrazy to supervise.
func Services(list []Process) []*gokrazy.Service {
	var services []*gokrazy.Service
	for _, p := range list {
		cmd := exec.Command(p.Path, p.Args...)
		cmd.Env = append(os.Environ(), p.Env...)
		switch {
		case p.Stopped:
			services = append(services, gokrazy.NewStoppedService(cmd))
		case p.WaitForClock:
			services = append(services, gokrazy.NewWaitForClockService(cmd))
		default:
			services = append(services, gokrazy.NewService(cmd))
		}
	}
	return services
}

// MakeRunDir makes dir and in it a folder for each process of the list that has a user of its own. Others can reach
// the sockets in it, but neither look around nor put anything there. chown is os.Chown.
func MakeRunDir(dir string, list []Process, chown func(path string, uid, gid int) error) error {
	if err := makeDir(dir, 0o755, 0, chown); err != nil {
		return err
	}
	for _, p := range list {
		uid, ok := users[p.Name()]
		if !ok {
			continue
		}
		if err := makeDir(filepath.Join(dir, p.Name()), 0o711, uid, chown); err != nil {
			return err
		}
	}
	return nil
}

func makeDir(dir string, mode fs.FileMode, uid int, chown func(path string, uid, gid int) error) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := chown(dir, uid, uid); err != nil {
		return fmt.Errorf("give folder to its user: %w", err)
	}
	// Mkdir obeys the umask.
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("set mode of folder: %w", err)
	}
	return nil
}
