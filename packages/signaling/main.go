// Command signaling shows cameras in browsers over WebRTC: the camera platform's WebSocket protocol, WHEP, and the
// viewer page.
package main

import (
	"context"
	"flag"
	"os"
	"runtime/debug"

	"porthole/media/decode"
	"porthole/packages/internal/daemon"
)

type options struct {
	wss, iceUDP, shared string
	loopback            bool
	perCamera, allViews int
	decoder             string
	libraries           []string
}

func main() {
	decode.Child()
	var o options
	daemon.Process{
		Name: "signaling",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&o.wss, "wss", ":8765", "`address` of the secure WebSocket port; empty: none")
			fs.StringVar(&o.iceUDP, "ice-udp", ":8443", "UDP `address` of WebRTC media; empty: none (Chrome refuses 443 on private addresses)")
			fs.StringVar(&o.shared, "shared", ":443", "`address` whose port proxy shares with us, as seen from outside: TCP comes from proxy, UDP is opened; empty: neither")
			fs.BoolVar(&o.loopback, "loopback", false, "offer loopback addresses to browsers, for one machine")
			// The camera platform's limit.
			fs.IntVar(&o.perCamera, "max-viewers-per-camera", 10, "most `viewers` of one stream at once")
			fs.IntVar(&o.allViews, "max-viewers", 50, "most `viewers` at once")
			fs.StringVar(&o.decoder, "decoder", "/usr/local/bin/ffmpeg-porthole", "`program` that decodes snapshots and converts for browsers (overlays/decoder)")
			fs.Func("decoder-libraries", "`folder` that the decoder may read and execute, for one that loads libraries; may be repeated", func(dir string) error {
				o.libraries = append(o.libraries, dir)
				return nil
			})
		},
		Needs: func(daemon.Env) daemon.Needs {
			// The decoder's child is this program first.
			self, err := os.Executable()
			if err != nil {
				self = os.Args[0]
			}
			return daemon.Needs{
				// UDP port 443.
				Certificates: true, LowPorts: true, ListenTCP: []string{o.wss},
				// The public name and the STUN server; an answer too long for UDP comes by TCP (RFC 7766).
				Names: true, ConnectTCP: []uint16{53},
				Sockets: []string{"console-internal", "rtsp"},
				Execute: append([]string{o.decoder, self}, o.libraries...),
			}
		},
		Run: func(ctx context.Context, env daemon.Env) error {
			debug.SetGCPercent(gcPercent)
			return run(ctx, env, o)
		},
	}.Main()
}

// gcPercent trades processor time, of which collecting takes next to nothing here, for memory: little is allocated per packet,
// so the heap is what viewers hold, and garbage from when they came would stay beside it.
const gcPercent = 40
