// Command console is the web console: the household's pages and the API behind the front door, accounts and sessions,
// and the one writer of settings, which the other processes follow. It owns the database and listens on two unix
// sockets; proxy brings the public's requests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	_ "golang.org/x/crypto/x509roots/fallback" // gokrazy has no file of trusted authorities

	"porthole/media/decode"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/settings"
)

func main() {
	decode.Child()
	var builtin cameraFlag
	var decoder string
	var libraries []string
	var window time.Duration
	daemon.Process{
		Name: "console",
		Flags: func(fs *flag.FlagSet) {
			fs.Var(&builtin, "builtin-camera", "a camera nobody can delete, as `ID=URL`; may be repeated")
			fs.DurationVar(&window, "claim-window", claimWindow, "how long after power-on the device can be claimed")
			fs.StringVar(&decoder, "decoder", "/usr/local/bin/ffmpeg-porthole", "`program` that looks into uploaded videos (overlays/decoder)")
			fs.Func("decoder-libraries", "`folder` that the decoder may read and execute, for one that loads libraries; may be repeated", func(dir string) error {
				libraries = append(libraries, dir)
				return nil
			})
		},
		Needs: func(daemon.Env) daemon.Needs {
			n := daemon.Needs{
				Certificates: true, State: true, Sockets: []string{"system", "proxy", "player", "signaling-status"},
				Names: true, ConnectTCP: acmePorts(), Read: licenceFolders("/usr/share"),
			}
			decoderPrograms(&n, decoder, libraries)
			return n
		},
		Run: func(ctx context.Context, env daemon.Env) error {
			return Run(ctx, Options{Env: env, Builtin: builtin, ClaimWindow: window, Decoder: decoder, Libraries: libraries})
		},
	}.Main()
}

// cameraFlag collects the values of -builtin-camera.
type cameraFlag []settings.Camera

// String names the cameras; their URLs may hold passwords.
func (f *cameraFlag) String() string {
	ids := make([]string, 0, len(*f))
	for _, c := range *f {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, ",")
}

// Set takes one ID=URL.
func (f *cameraFlag) Set(v string) error {
	id, url, ok := strings.Cut(v, "=")
	if !ok {
		return errors.New("write it as ID=URL, for example demo=rtsp://127.0.0.1:8554/demo")
	}
	c := settings.Camera{ID: id, URL: url}
	if id == "demo" {
		c.Name = "Demo camera"
	}
	c, err := c.Normalize()
	if err != nil {
		return fmt.Errorf("check camera %q: %w", id, err)
	}
	if slices.ContainsFunc(*f, func(o settings.Camera) bool { return o.ID == c.ID }) {
		return fmt.Errorf("camera %q is given twice", id)
	}
	*f = append(*f, c)
	return nil
}
