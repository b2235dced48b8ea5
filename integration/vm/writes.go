package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// File is one of a guest's.
type File struct {
	Path string
	// Size is in bytes, Changed when its content was, in nanoseconds; Inode tells one from its successor.
	Size, Changed int64
	Inode         uint64
}

// Files returns all files below a folder.
func (a Agent) Files(ctx context.Context, dir string) ([]File, error) {
	b, err := a.do(ctx, http.MethodGet, "/files", url.Values{"path": {dir}}, nil)
	if err != nil {
		return nil, err
	}
	var list []File
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", dir, err)
	}
	return list, nil
}

// Writes is what was written since the guest was started.
type Writes struct {
	// Partitions are bytes by the partition's name ("vda4"), Flushes how often the disk was told to keep what it has.
	Partitions map[string]int64
	Flushes    int64
	// Processes are bytes by the process's name, also of jbd2, the kernel's thread that writes the journal of /perm.
	Processes map[string]int64
}

// Columns of /proc/diskstats (Documentation/admin-guide/iostats.rst), counted from the device's major number.
const (
	colName    = 2
	colWritten = 9  // sectors of 512 bytes
	colFlushes = 18 // completed
)

// Writes reads what was written. Files in memory do not count.
func (a Agent) Writes(ctx context.Context) (Writes, error) {
	w := Writes{Partitions: map[string]int64{}, Processes: map[string]int64{}}
	text, err := a.ReadFile(ctx, "/proc/diskstats")
	if err != nil {
		return w, err
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) <= colWritten || !strings.HasPrefix(f[colName], "vda") {
			continue
		}
		sectors, err := strconv.ParseInt(f[colWritten], 10, 64)
		if err != nil {
			return w, fmt.Errorf("read %q: %w", line, err)
		}
		if f[colName] != "vda" {
			w.Partitions[f[colName]] = sectors * 512
			continue
		}
		if len(f) > colFlushes {
			if w.Flushes, err = strconv.ParseInt(f[colFlushes], 10, 64); err != nil {
				return w, fmt.Errorf("read %q: %w", line, err)
			}
		}
	}
	pids, err := a.Processes(ctx)
	if err != nil {
		return w, err
	}
	journal, err := a.Find(ctx, "jbd2/vda4-8", 2)
	if err != nil {
		return w, err
	}
	for _, pid := range journal {
		pids = append(pids, Process{Name: "jbd2", PID: pid})
	}
	for _, p := range append(pids, Process{Name: "init", PID: 1}) {
		n, err := a.written(ctx, p.PID)
		if err != nil {
			return w, err
		}
		w.Processes[p.Name] += n
	}
	return w, nil
}

// written is what a process has had written to disks (proc_pid_io(5)).
func (a Agent) written(ctx context.Context, pid int) (int64, error) {
	text, err := a.ReadFile(ctx, filepath.Join("/proc", strconv.Itoa(pid), "io"))
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "write_bytes: "); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("the kernel does not say what process %d has written: %q", pid, text)
}
