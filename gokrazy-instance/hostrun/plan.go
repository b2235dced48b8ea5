//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"porthole/gokrazy-instance/hostrun/supervise"
)

// controlSocket is where the supervisor's API is, from the state folder.
const controlSocket = "run/gokrazy-http.sock"

// plan reads the process list of a gokrazy instance and says how to run it here: with the device's arguments first,
// then those of this machine, which win.
func plan(o options, demoURL string) (commands []supervise.Command, hostname string, err error) {
	in, err := readInstance(o.Config)
	if err != nil {
		return nil, "", err
	}
	var out []supervise.Command
	var missing []string
	known := map[string]bool{}
	for _, pkg := range in.Packages {
		pc := in.PackageConfig[pkg]
		name := filepath.Base(pkg)
		if pc.Basename != "" {
			name = pc.Basename
		}
		c := supervise.Command{
			Name: name, Path: filepath.Join(o.Bin, name), Dir: o.State, Home: filepath.Join(o.State, "perm", "home", name),
			Env: pc.Environment, DontStart: pc.DontStart,
			Args: slices.Concat(pc.CommandLineFlags, hostArgs(o, pkg, demoURL)),
		}
		if st, err := os.Stat(c.Path); err != nil || st.IsDir() {
			missing = append(missing, name)
		}
		out = append(out, c)
		known[name] = true
	}
	for name := range o.Args {
		if !known[name] {
			return nil, "", fmt.Errorf("-arg %s=…: there is no process of that name", name)
		}
	}
	if len(missing) > 0 {
		return nil, "", fmt.Errorf("not built yet: %s is not in %s; run: make build", strings.Join(missing, ", "), o.Bin)
	}
	return out, in.Hostname, nil
}

// hostArgs are the arguments that differ between a device and this machine (docs/architecture.md).
func hostArgs(o options, pkg, demoURL string) []string {
	process, ours := strings.CutPrefix(pkg, "porthole/packages/")
	if !ours {
		return nil
	}
	args := []string{"-run", "run", "-perm", "perm", "-boot", "boot", "-single-user"}
	switch process {
	case "system":
		args = append(args, "-gokrazy-socket", controlSocket)
	case "proxy":
		args = append(args, "-https", o.addr(o.HTTPS), "-http", o.addr(o.HTTP), "-ice-tcp", o.addr(o.iceTCP()), "-test", o.addr(o.Test), "-test-udp", o.addr(o.testUDP()))
	case "signaling":
		args = append(args, "-wss", o.addr(o.WSS), "-ice-udp", o.addr(o.ICE), "-shared", o.addr(o.HTTPS), "-loopback")
		args = append(args, decoderArgs(o.Bin)...)
	case "console":
		args = append(args, "-builtin-camera", "demo="+demoURL)
		args = append(args, decoderArgs(o.Bin)...)
	case "player":
		args = append(args, "-display", "offscreen", "-console-port", strconv.Itoa(o.HTTPS))
		args = append(args, decoderArgs(o.Bin)...)
	}
	return append(args, o.Args[process]...)
}

// ownDecoder is where the image's decoder lies if it has been built here (overlays/decoder).
func ownDecoder(bin string) string {
	return filepath.Join(filepath.Dir(bin), "decoder-"+runtime.GOARCH, "ffmpeg")
}

// decoderArgs tell player, signaling and console of a program that decodes video: the image's, else the machine's own ffmpeg,
// which may read its libraries. Without either there are no cameras on the screen, no snapshots and no videos to upload, and they say so.
func decoderArgs(bin string) []string {
	own := ownDecoder(bin)
	if isFile(own) {
		return []string{"-decoder", own}
	}
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return []string{"-decoder", own}
	}
	args := []string{"-decoder", path}
	for _, dir := range []string{"/usr/lib", "/usr/local/lib", "/lib", "/lib64", "/etc"} {
		args = append(args, "-decoder-libraries", dir)
	}
	return args
}
