package main

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// usage is what processes have used up to a moment.
type usage struct {
	at  time.Time
	cpu time.Duration
	// rss is in bytes.
	rss int
}

// usageOf adds up processes.
func usageOf(pids []int) (usage, error) {
	u := usage{at: time.Now()}
	for _, pid := range pids {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return usage{}, fmt.Errorf("look at process %d: %w", pid, err)
		}
		st, err := p.Stat()
		if err != nil {
			return usage{}, fmt.Errorf("read the times of process %d: %w", pid, err)
		}
		u.cpu += time.Duration(st.CPUTime() * float64(time.Second))
		u.rss += st.ResidentMemory()
	}
	return u, nil
}

// since says what was used since an earlier moment.
func (u usage) since(before usage) string {
	cpu := float64(u.cpu-before.cpu) / float64(u.at.Sub(before.at)) * 100
	return fmt.Sprintf("%.1f %% CPU, %s", cpu, mebibytes(u.rss))
}

func mebibytes(b int) string { return fmt.Sprintf("%.0f MB", float64(b)/(1<<20)) }
