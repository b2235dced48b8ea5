// Command player is the screen: a status screen from its first second on, then a picture or a live camera, as the
// settings say. It waits for nothing, neither network nor clock nor other processes, and keeps the last good frame.
package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"

	"porthole/media/decode"
	"porthole/packages/internal/daemon"
)

// gcPercent is by how much the heap may grow before it is collected (GOGC).
const gcPercent = 40

func main() {
	decode.Child()
	if len(os.Args) == 2 && os.Args[1] == firstArgument {
		os.Exit(first())
	}
	var o Options
	daemon.Process{
		Name: "player",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&o.Display, "display", "auto", "`screen` to use: auto, primary (without video planes), framebuffer, offscreen or offscreen:WIDTHxHEIGHT")
			fs.StringVar(&o.Decoder, "decoder", "/usr/local/bin/ffmpeg-porthole", "`program` that decodes video (overlays/decoder)")
			fs.Func("decoder-libraries", "`folder` that the decoder may read and execute, for one that loads libraries; may be repeated", func(dir string) error {
				o.Libraries = append(o.Libraries, dir)
				return nil
			})
			fs.StringVar(&o.ConsolePort, "console-port", "443", "`port` of the console, for its address on the screen")
		},
		Needs: func(env daemon.Env) daemon.Needs {
			// The decoder's child is this program first.
			self, err := os.Executable()
			if err != nil {
				self = os.Args[0]
			}
			return daemon.Needs{
				Video: true, State: true, Names: true, ConnectAnywhere: true, Sockets: []string{"system", "console-internal", "rtsp"},
				Execute: append([]string{o.Decoder, self}, o.Libraries...),
				// What init says of the storage, and public CAs.
				Read: []string{filepath.Join(env.RunDir, "perm-status.json"), "/etc/ssl", "/usr/share/ca-certificates"},
			}
		},
		Run: func(ctx context.Context, env daemon.Env) error {
			// Pictures are large and few: collected early they take half of the memory, for next to no time.
			debug.SetGCPercent(gcPercent)
			o.Env = env
			return Run(ctx, o)
		},
	}.Main()
}
