//go:build linux

// Command hostrun runs Porthole on a developer's machine: the process list of the appliance, supervised the way gokrazy
// does it, on unprivileged ports, with a built-in camera.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

func start(args []string) int {
	var o options
	fs := flag.NewFlagSet("hostrun", flag.ContinueOnError)
	fs.StringVar(&o.Config, "config", "gokrazy-instance/pi/config.json", "`file` with the process list")
	fs.StringVar(&o.Bin, "bin", "build/bin", "`folder` of the programs")
	fs.StringVar(&o.State, "state", "build/run", "`folder` for everything that is stored; made when missing")
	fs.StringVar(&o.Bind, "bind", "", "`address` to listen on; empty means all")
	fs.IntVar(&o.HTTPS, "https", 8443, "`port` of console, cameras and live view")
	fs.IntVar(&o.HTTP, "http", 8080, "`port` that redirects to https; 0 switches it off")
	fs.IntVar(&o.Test, "test", 0, "`port` of the plain RTSP test socket, while the setting for it is on; RTP over UDP comes from the next even port but one; 0: never")
	fs.IntVar(&o.WSS, "wss", 8765, "`port` of WebRTC signaling; 0 switches it off")
	fs.IntVar(&o.ICE, "ice-udp", -1, "UDP `port` of WebRTC media; 0 switches it off (default: the number of -https)")
	fs.StringVar(&o.Provision, "provision", "", "porthole.toml `file` to start with")
	fs.StringVar(&o.ReadyFile, "ready-file", "", "`file` to write ports and addresses to, as JSON, when everything answers")
	fs.BoolVar(&o.Quiet, "quiet", false, "do not show what the processes log (it is kept in files)")
	fs.Func("arg", "`NAME=ARGUMENT` for one process, for example signaling=-max-viewers=100; may be repeated", o.addArg)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 1
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "hostrun: unexpected argument %q\n", fs.Arg(0))
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second Ctrl-C ends hostrun at once; the kernel then kills the processes (Pdeathsig).
	defer context.AfterFunc(ctx, stop)()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "hostrun: %v\n", err)
		return 1
	}
	return 0
}
