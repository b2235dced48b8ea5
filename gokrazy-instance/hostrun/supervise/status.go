//go:build linux

package supervise

import (
	"time"

	"github.com/gokrazy/gokrazy/ifaddr"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// serviceStatus has the field names of gokrazy's JSON (service.MarshalJSON).
type serviceStatus struct {
	Stopped   bool
	StartTime time.Time
	Pid       int
	Path      string
	Args      []string
	Diverted  string
}

// overview has the field names of gokrazy's JSON (initStatus in status.go).
type overview struct {
	Services       []serviceStatus
	PermDev        string
	PermUsed       int64
	PermAvail      int64
	PermTotal      int64
	PrivateAddrs   []string
	PublicAddrs    []string
	BuildTimestamp string
	SBOMHash       string
	Meminfo        map[string]int64
	Hostname       string
	Model          string
	PermUUID       string
	EEPROM         *struct{}
	Kernel         string
	MountDevices   []struct{}
}

func (s *service) status() serviceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return serviceStatus{Stopped: s.stopped, StartTime: s.started, Pid: s.pid, Path: s.cmd.Path, Args: s.args}
}

// overview leaves empty what it cannot find out, as gokrazy does.
func (s *Supervisor) overview() overview {
	o := overview{Hostname: s.cfg.Hostname, Model: "hostrun", Meminfo: meminfo()}
	for _, svc := range s.services {
		o.Services = append(o.Services, svc.status())
	}
	var st unix.Statfs_t
	if unix.Statfs(s.cfg.PermDir, &st) == nil {
		o.PermUsed = st.Bsize * int64(st.Blocks-st.Bfree)
		o.PermAvail = st.Bsize * int64(st.Bavail)
		o.PermTotal = st.Bsize * int64(st.Blocks)
	}
	if addrs, err := ifaddr.PrivateInterfaceAddrs(); err == nil {
		o.PrivateAddrs = addrs
	}
	if addrs, err := ifaddr.PublicInterfaceAddrs(); err == nil {
		o.PublicAddrs = addrs
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		o.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " (" + unix.ByteSliceToString(u.Machine[:]) + ")"
	}
	return o
}

// meminfo is in bytes.
func meminfo() map[string]int64 {
	out := map[string]int64{}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return out
	}
	m, err := fs.Meminfo()
	if err != nil {
		return out
	}
	if m.MemTotalBytes != nil {
		out["MemTotal"] = int64(*m.MemTotalBytes)
	}
	if m.MemAvailableBytes != nil {
		out["MemAvailable"] = int64(*m.MemAvailableBytes)
	}
	return out
}
