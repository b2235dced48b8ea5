// Command system is Porthole's only root process on a device: it keeps the device's own certificate, hands over
// porthole.toml, hands devices to the processes that use them, says whether the appliance lives, and reaches the supervisor
// for the others. With -single-user (hostrun) it needs no root and leaves the machine alone.
package main

import (
	"context"
	"flag"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"porthole/hw/devperm"
	"porthole/hw/thermal"
	"porthole/hw/uevent"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/unixsock"
	shared "porthole/packages/internal/update"
	"porthole/packages/system/authority"
	"porthole/packages/system/health"
	"porthole/packages/system/heartbeat"
	"porthole/packages/system/intake"
	"porthole/packages/system/pairs"
	"porthole/packages/system/supervisor"
	"porthole/packages/system/update"
)

// options are system's own flags.
type options struct {
	gokrazySocket, governor string
	healthy, deadline       time.Duration
}

func main() {
	var o options
	daemon.Process{
		Name: "system",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&o.gokrazySocket, "gokrazy-socket", "/run/gokrazy-http.sock", "`socket` of the supervisor")
			fs.DurationVar(&o.healthy, "trial-healthy", update.DefaultHealthy, "how `long` an update must be well without a break to be kept")
			fs.DurationVar(&o.deadline, "trial-deadline", update.DefaultDeadline, "how `long` an update that is not well is tried")
			fs.StringVar(&o.governor, "cpu-governor", "performance", "how the kernel sets the processor's speed: a `governor` it knows; empty leaves it alone")
		},
		Needs: func(daemon.Env) daemon.Needs {
			return daemon.Needs{Root: true, RootCapabilities: []int{
				unix.CAP_CHOWN, unix.CAP_FOWNER, unix.CAP_DAC_OVERRIDE, // files and devices of others
				unix.CAP_SYS_ADMIN, // mounts
				unix.CAP_SYS_BOOT,
			}}
		},
		Run: func(ctx context.Context, env daemon.Env) error { return run(ctx, env, o) },
	}.Main()
}

func run(ctx context.Context, env daemon.Env, o options) error {
	g, ctx := errgroup.WithContext(ctx)
	if !env.SingleUser {
		events, err := uevent.Listen()
		if err != nil {
			return err
		}
		// Before anything that takes time, such as making keys: player waits for the screen.
		g.Go(func() error { return handOver(ctx, env.Log, devperm.Nodes{}, events, unixsock.GIDVideo) })
	}
	g.Go(func() error { return serve(ctx, env, o) })
	return g.Wait()
}

// serve is all but the devices.
func serve(ctx context.Context, env daemon.Env, o options) error {
	state := filepath.Join(env.PermDir, "system")
	transport := unixsock.Transport(o.gokrazySocket)
	defer transport.CloseIdleConnections()
	processes := supervisor.New(transport)
	// First of all: it decides what has become of an update that was tried.
	looks := &checks{}
	updates := newUpdates(env, o, processes, looks)
	gid, unlock := unixsock.GIDCerts, unlocker(env.BootDir)
	if env.SingleUser {
		gid, unlock = pairs.KeepGroup, nil
	}
	in := intake.Open(intake.Config{Log: env.Log, BootDir: env.BootDir, StateDir: state, Unlock: unlock})
	journal := pairs.OpenJournal(env.Log, filepath.Join(state, "certificates.log"))
	store := pairs.New(pairs.Config{Log: env.Log, Dir: filepath.Join(env.PermDir, "tls"), GID: gid, Journal: journal})
	device := authority.Open(authority.Config{
		Log: env.Log, CADir: filepath.Join(state, "ca"), Pairs: store,
		Hostname: in.Hostname, Addresses: net.InterfaceAddrs,
	})
	hardware := health.Config{Log: env.Log, Firmware: thermal.Firmware{}, Governor: o.governor}
	if !env.SingleUser {
		hardware.StateFile, hardware.GovernorFile = filepath.Join(env.StateDir(), "processor.json"), filepath.Join(state, "governor")
	}
	processor := health.New(hardware)
	a := &api{
		log: env.Log, device: device, pairs: store, intake: in,
		supervisor: processes, tail: supervisor.NewTail(processes), processor: processor, updates: updates,
		problems: &problems{permFile: filepath.Join(env.RunDir, "perm-status.json"), device: device, pairs: store, intake: in, processor: processor, updates: updates},
	}
	a.reset = newFactoryReset(env.Log, env.PermDir, processes.Reboot, env.SingleUser)
	defer looks.begin(env, processes, device)()
	sock, err := unixsock.Listen(env.Socket("system"), unixsock.Allow(env.SingleUser, "console", "player"))
	if err != nil {
		return err
	}
	defer sock.Close()

	g, ctx := errgroup.WithContext(ctx)
	if !env.SingleUser {
		a.runDevice(ctx, g, env)
	}
	g.Go(func() error { return updates.Run(ctx) })
	g.Go(func() error { return device.Watch(ctx) })
	g.Go(func() error { return a.supervisor.Watch(ctx) })
	g.Go(func() error { return a.tail.Run(ctx) })
	g.Go(func() error { return processor.Run(ctx) })
	g.Go(func() error { return a.reset.run(ctx) })
	g.Go(func() error { return unixsock.Serve(ctx, sock, a.handler()) })
	return g.Wait()
}

// runDevice starts what only a device has: a watchdog.
func (a *api) runDevice(ctx context.Context, g *errgroup.Group, env daemon.Env) {
	console := unixsock.NewClient(env.Socket("console"))
	heart := heartbeat.New(heartbeat.Config{
		Log: env.Log, Dir: env.StateDir(), CountFile: filepath.Join(env.PermDir, "system", "restarts"),
		Processes: a.supervisor.Processes,
		Watched:   ours,
		OnTrial:   func() bool { return a.updates.Status().Phase == shared.Trying },
		Health: map[string]func(context.Context) error{"console": func(ctx context.Context) error {
			_, err := console.Call(ctx, http.MethodGet, "/api/health", nil, nil)
			return err
		}},
	})
	a.problems.heart = heart
	g.Go(func() error {
		defer console.Close()
		return heart.Run(ctx)
	})
}
