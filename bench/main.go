// Bench measures what a user of Porthole feels (added latency, time to the first picture) and what it costs (CPU, memory),
// with the same questions put to MediaMTX and go2rtc in the same run where their binaries are given. Machines are shared
// and noisy: read the columns against each other, not against a clock.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

func main() {
	bin := flag.String("bin", "build/bin", "`folder` of Porthole's programs")
	perStep := flag.Duration("time", envDuration("BENCHTIME", 20*time.Second), "how long each load is held")
	joins := flag.Int("joins", 50, "how often the time to the first picture is taken")
	viewers := flag.Bool("whep", true, "measure WHEP viewers too")
	build := flag.String("build", "build", "`folder` of the images")
	only := flag.String("only", "", "measure only `what`: peers, live, signage, uploads, update or appliance")
	tries := flag.Int("tries", 30, "how often a page is opened for its first picture; 0: no browser")
	soakFor := flag.Duration("soak", 0, "instead have readers come, go, stall and misbehave for this `time`, and see what stays")
	playFor := flag.Duration("play", 0, "instead have the own screen play a mixed playlist for this `time`, and see what its memory does")
	static := flag.String("static", "", "be the floor of the signage measurement at this `address`")
	files := flag.String("files", "", "`folder` that -static serves")
	tlsDir := flag.String("tls", "", "`folder` of -static's certificate")
	flag.Parse()
	if *static != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveStatic(*static, *files, *tlsDir))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := plan{perStep: *perStep, joins: *joins, readers: []int{1, 20, 100, 500}, viewers: []int{1, 20, 100}, tries: *tries}
	if !*viewers {
		p.viewers = nil
	}
	do := func() error { return run(ctx, *only, *bin, *build, p) }
	if *soakFor > 0 {
		do = func() error { return runSoak(ctx, *bin, *soakFor) }
	}
	if *playFor > 0 {
		do = func() error { return soakPlaying(ctx, *bin, *playFor) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func envDuration(name string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(name)); err == nil && d > 0 {
		return d
	}
	return otherwise
}

func run(ctx context.Context, only, bin, build string, p plan) error {
	dir, err := os.MkdirTemp("", "porthole-bench")
	if err != nil {
		return fmt.Errorf("make a folder for the servers: %w", err)
	}
	defer os.RemoveAll(dir)
	if only == "" || only == "peers" {
		if err := besidePeers(ctx, dir, bin, p); err != nil {
			return err
		}
	}
	if only == "" || only == "live" {
		if err := besideLive(ctx, dir, bin, p); err != nil {
			return err
		}
	}
	if only == "" || only == "signage" {
		if err := besideSignage(ctx, dir, bin, p); err != nil {
			return err
		}
	}
	if only == "" || only == "uploads" {
		if err := besideUploads(ctx, dir, bin); err != nil {
			return err
		}
	}
	if only == "" || only == "update" {
		t, err := measureUpdate(ctx, filepath.Join(dir, "update"))
		if err != nil {
			return fmt.Errorf("measure an update: %w", err)
		}
		if err := t.print(os.Stdout); err != nil {
			return err
		}
	}
	if only != "" && only != "appliance" {
		return nil
	}
	t, err := measureAppliance(ctx, dir, bin, build, p.perStep)
	if err != nil {
		return err
	}
	return t.print(os.Stdout)
}

// besidePeers asks Porthole and its peers the same questions.
func besidePeers(ctx context.Context, dir, bin string, p plan) error {
	camera, err := startCamera(ctx)
	if err != nil {
		return err
	}
	defer camera.stop()

	table := newTable()
	for _, start := range []func(context.Context, string, string, string) (*server, error){startPorthole, startMediaMTX, startGo2RTC} {
		srv, err := start(ctx, dir, bin, camera.url)
		if err != nil {
			return err
		}
		if srv == nil {
			continue
		}
		err = measure(ctx, table, srv, camera, p)
		srv.stop()
		if err != nil {
			return fmt.Errorf("measure %s: %w", srv.name, err)
		}
	}
	return table.print(os.Stdout)
}

func runSoak(ctx context.Context, bin string, d time.Duration) error {
	dir, err := os.MkdirTemp("", "porthole-soak")
	if err != nil {
		return fmt.Errorf("make a folder for the server: %w", err)
	}
	defer os.RemoveAll(dir)
	camera, err := startCamera(ctx)
	if err != nil {
		return err
	}
	defer camera.stop()
	srv, err := startPorthole(ctx, dir, bin, camera.url)
	if err != nil {
		return err
	}
	defer srv.stop()
	return soak(ctx, srv, d)
}

// camera is the clip, served by ServeClip in this process.
type camera struct {
	url  string
	addr string
	stop func()
}

func startCamera(ctx context.Context) (*camera, error) { return startCameraOf(ctx, samples.Demo()) }

func startCameraOf(ctx context.Context, clip []byte) (*camera, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the camera: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- rtsp.ServeClip(ctx, slog.New(slog.DiscardHandler), l, clip, "demo", "", "")
	}()
	addr := l.Addr().String()
	return &camera{
		url:  "rtsp://" + addr + "/demo",
		addr: addr,
		stop: func() {
			cancel()
			<-done //nolint:errcheck // it was told to end
		},
	}, nil
}

// table collects one column per server.
type table struct {
	rows    []string
	columns []string
	cells   map[[2]string]string
}

func newTable() *table { return &table{cells: map[[2]string]string{}} }

func (t *table) set(column, row, value string) {
	if !slices.Contains(t.rows, row) {
		t.rows = append(t.rows, row)
	}
	if !slices.Contains(t.columns, column) {
		t.columns = append(t.columns, column)
	}
	t.cells[[2]string{column, row}] = value
	fmt.Fprintf(os.Stderr, "  %s: %s: %s\n", column, row, value)
}

func (t *table) print(f *os.File) error {
	w := tabwriter.NewWriter(f, 0, 0, 1, ' ', 0)
	line := func(first string, cell func(column string) string) {
		fmt.Fprintf(w, "| %s\t|", first)
		for _, c := range t.columns {
			fmt.Fprintf(w, " %s\t|", cell(c))
		}
		fmt.Fprintln(w)
	}
	line("", func(c string) string { return c })
	line("---", func(string) string { return "---" })
	for _, r := range t.rows {
		line(r, func(c string) string {
			if v, ok := t.cells[[2]string{c, r}]; ok {
				return v
			}
			return "–"
		})
	}
	return w.Flush()
}
