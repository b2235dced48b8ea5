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

// work is what serves the live view, of several processes.
const work = "signaling + proxy"

// usageOfAll looks at all processes of a server, under "", and at its parts by name.
func usageOfAll(srv *server) (map[string]usage, error) {
	groups := map[string][]int{"": srv.pids}
	for name, pid := range srv.parts {
		groups[name] = []int{pid}
	}
	if len(srv.parts) > 0 {
		groups[work] = []int{srv.parts["signaling"], srv.parts["proxy"]}
	}
	out := map[string]usage{}
	for name, pids := range groups {
		u, err := usageOf(pids)
		if err != nil {
			return nil, err
		}
		out[name] = u
	}
	return out, nil
}

// working names the parts of a server that serve what is measured; none where there is one process.
func (s *server) working(what string) []string {
	switch {
	case len(s.parts) == 0:
		return nil
	case what == whepViewers:
		return []string{work, "signaling", "proxy"}
	}
	return []string{"proxy"}
}

// procfsLoad is how many processes have run or wanted to in the last minute.
func procfsLoad() (float64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	l, err := fs.LoadAvg()
	if err != nil {
		return 0, err
	}
	return l.Load1, nil
}

// since says what was used since an earlier moment.
func (u usage) since(before usage) string {
	cpu := float64(u.cpu-before.cpu) / float64(u.at.Sub(before.at)) * 100
	return fmt.Sprintf("%.1f %% CPU, %s", cpu, mebibytes(u.rss))
}

func mebibytes(b int) string { return fmt.Sprintf("%.0f MB", float64(b)/(1<<20)) }
