// Proxy is the front door: the one port for HTTPS and cameras (RTSP in TLS), and the port that sends plain HTTP there.
package main

import (
	"context"
	"flag"
	"net"

	"porthole/packages/internal/daemon"
)

func main() {
	var https, http, iceTCP, test, testUDP string
	daemon.Process{
		Name: "proxy",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&https, "https", ":443", "`address` for HTTPS and RTSPS; empty switches it off")
			fs.StringVar(&http, "http", ":80", "`address` for plain HTTP, which redirects to https (/api answers by itself); empty switches it off")
			fs.StringVar(&iceTCP, "ice-tcp", ":8443", "`address` for the live view over TCP beside -https, the number of signaling's -ice-udp (Chrome refuses 443 on private addresses); empty switches it off")
			fs.StringVar(&test, "test", ":5001", "`address` for plain RTSP from the local networks while the setting test_socket is on; empty: never")
			fs.StringVar(&testUDP, "test-udp", ":5004", "`address` for RTP of -test's readers over UDP, an even port (RTCP is on the next); empty: over TCP only")
		},
		Needs: func(daemon.Env) daemon.Needs {
			return daemon.Needs{
				Certificates: true, LowPorts: true, ListenTCP: []string{https, http, iceTCP, test},
				// Cameras: any host, any port.
				Names: true, ConnectAnywhere: true,
				Sockets: []string{"console", "console-internal", "signaling", "signaling-status", "ice", "acme"},
			}
		},
		Run: func(ctx context.Context, env daemon.Env) error {
			ls, err := openPorts(ctx, https, http, iceTCP)
			if err != nil {
				return err
			}
			return Run(ctx, Config{Env: env, HTTPS: ls[0], HTTP: ls[1], ICE: ls[2], Test: test, TestUDP: testUDP})
		},
	}.Main()
}

// openPorts listens on the addresses; an empty one gives nil.
func openPorts(ctx context.Context, https, http, iceTCP string) (ls [3]net.Listener, err error) {
	for i, p := range []struct{ flag, addr string }{{"-https", https}, {"-http", http}, {"-ice-tcp", iceTCP}} {
		if p.addr == "" {
			continue
		}
		if ls[i], err = Listen(ctx, p.flag, p.addr); err != nil {
			for _, l := range ls[:i] {
				if l != nil {
					l.Close()
				}
			}
			return ls, err
		}
	}
	return ls, nil
}
