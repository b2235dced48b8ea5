//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// options are hostrun's flags. A port of 0 is switched off; ICE is -1 for the number of HTTPS.
type options struct {
	Config, Bin, State   string
	Bind                 string
	HTTPS, HTTP, WSS     int
	ICE                  int
	Test                 int
	Provision, ReadyFile string
	Quiet                bool
	// Args are further arguments by process name.
	Args map[string][]string
}

// addArg takes NAME=ARGUMENT.
func (o *options) addArg(s string) error {
	name, arg, ok := strings.Cut(s, "=")
	if !ok || name == "" || arg == "" {
		return errors.New("use NAME=ARGUMENT, for example signaling=-max-viewers=100")
	}
	if o.Args == nil {
		o.Args = map[string][]string{}
	}
	o.Args[name] = append(o.Args[name], arg)
	return nil
}

// complete checks the options and makes every path absolute: hostrun works in the state folder.
func (o options) complete() (options, error) {
	for _, p := range []*string{&o.Config, &o.Bin, &o.State, &o.Provision, &o.ReadyFile} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return options{}, fmt.Errorf("find %s: %w", *p, err)
		}
		*p = abs
	}
	if o.ICE == -1 {
		o.ICE = o.HTTPS
	}
	if o.HTTPS == 0 {
		return options{}, errors.New("-https 0: the console and the cameras need this port")
	}
	used := map[int]string{}
	for _, l := range o.listeners() {
		if l.port < 0 || l.port > 65535 {
			return options{}, fmt.Errorf("-%s %d: ports go from 1 to 65535", l.flag, l.port)
		}
		if l.network == "udp" {
			continue
		}
		if other, ok := used[l.port]; ok {
			return options{}, fmt.Errorf("-%s and -%s both say %d: choose different ports", other, l.flag, l.port)
		}
		used[l.port] = l.flag
	}
	// Proxy opens this one when the settings want it, and says so if it cannot.
	if o.Test < 0 || o.Test > 65000 {
		return options{}, fmt.Errorf("-test %d: use a port from 1 to 65000", o.Test)
	}
	if other, ok := used[o.Test]; ok {
		return options{}, fmt.Errorf("-%s and -test both say %d: choose different ports", other, o.Test)
	}
	return o, nil
}

// testUDP is the even port for RTP of the test socket's readers: 5004 for 5001.
func (o options) testUDP() int {
	if o.Test == 0 {
		return 0
	}
	return (o.Test + 3) &^ 1
}

// iceTCP is the port for the live view over TCP beside HTTPS: browsers take HTTPS's own wherever it is none of the low
// ones.
func (o options) iceTCP() int {
	if o.HTTPS >= 1024 || o.ICE == o.HTTPS {
		return 0
	}
	return o.ICE
}

// listener is a port that the processes will open.
type listener struct {
	network string
	port    int
	// flag is hostrun's switch that moves it, variable the Makefile's.
	flag, variable string
}

// listeners lists the ports that are not switched off.
func (o options) listeners() []listener {
	var out []listener
	for _, l := range []listener{
		{"tcp", o.HTTPS, "https", "HTTPS_PORT"},
		{"tcp", o.HTTP, "http", "HTTP_PORT"},
		{"tcp", o.WSS, "wss", "WSS_PORT"},
		{"udp", o.ICE, "ice-udp", "HTTPS_PORT"},
		{"tcp", o.iceTCP(), "ice-udp", "HTTPS_PORT"},
	} {
		if l.port != 0 {
			out = append(out, l)
		}
	}
	return out
}

// addr is what a process is told to listen on; empty for a port that is switched off.
func (o options) addr(port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort(o.Bind, strconv.Itoa(port))
}

// host is how this machine reaches what listens on Bind.
func (o options) host() string {
	if ip := net.ParseIP(o.Bind); o.Bind == "" || ip.IsUnspecified() || ip.IsLoopback() {
		return "localhost"
	}
	return o.Bind
}

// prepare makes the state folder and goes there, because a unix socket's path may have 107 bytes (unix(7)) and the
// folder may be deep.
func (o options) prepare() error {
	for _, dir := range []string{"run", "perm", "boot", "log"} {
		if err := os.MkdirAll(filepath.Join(o.State, dir), 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	if err := os.Chdir(o.State); err != nil {
		return fmt.Errorf("enter state folder: %w", err)
	}
	return nil
}
