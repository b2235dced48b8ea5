package main

import (
	"context"
	"path/filepath"

	"porthole/hw/block"
	"porthole/hw/power"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/unixsock"
	shared "porthole/packages/internal/update"
	"porthole/packages/system/authority"
	"porthole/packages/system/supervisor"
	"porthole/packages/system/update"
	"porthole/packages/system/update/trial"
)

const (
	// buildFile is what the image says of itself (gokrazy-instance/imager/diskimage).
	buildFile = "/etc/porthole/build.json"
	// bootStatusFile in RunDir is what init says of this start.
	bootStatusFile = "boot-status.json"
	// frontDoor is where proxy listens on a device.
	frontDoor = "127.0.0.1:443"
)

// newUpdates makes what deals with updates, and has it decide on a trial. Where all processes share one user there is nothing to
// update: it says so. checks looks at a version on trial once the engine runs.
func newUpdates(env daemon.Env, o options, processes *supervisor.Client, checks update.Looker) *update.Engine {
	cfg := update.Config{
		Log: env.Log, Dir: filepath.Join(env.PermDir, "system", "update"), RunDir: env.StateDir(),
		Healthy: o.healthy, Deadline: o.deadline, Checks: checks,
	}
	if !env.SingleUser {
		cfg.BuildFile, cfg.KeysDir = buildFile, shared.KeysDir
		cfg.BootStatusFile = filepath.Join(env.RunDir, bootStatusFile)
		cfg.Medium = func(device string) (update.Medium, error) { return block.OpenMedium(device, block.Options{}) }
		cfg.Restart = deviceRestart{log: env.Log, stopOthers: processes.StopOthers, restart: power.Restart}.run
	}
	return update.New(cfg)
}

// checks are those of a version on trial. They come later than the engine: what they ask takes its time to begin with.
type checks struct{ *trial.Trial }

// Look makes all checks once.
func (c *checks) Look(ctx context.Context) []shared.Check {
	if c.Trial == nil {
		return nil
	}
	return c.Trial.Look(ctx)
}

// begin has something to look at. close ends the connections that are left.
func (c *checks) begin(env daemon.Env, processes *supervisor.Client, device *authority.Device) (closeAll func()) {
	clients := map[string]*unixsock.Client{}
	for _, socket := range []string{"console", "player", "proxy", "signaling-status"} {
		clients[socket] = unixsock.NewClient(env.Socket(socket))
	}
	c.Trial = trial.New(trial.Config{
		Log: env.Log, Processes: processes.Processes, Watched: ours,
		Answers: map[string]trial.Question{
			"console":   {Caller: clients["console"], Target: "/api/health"},
			"player":    {Caller: clients["player"], Target: "/status"},
			"proxy":     {Caller: clients["proxy"], Target: "/status"},
			"signaling": {Caller: clients["signaling-status"], Target: "/viewers"},
		},
		HTTPS: frontDoor, Device: device.Public, Player: clients["player"], StorageDir: filepath.Join(env.PermDir, "system"),
	})
	return func() {
		for _, client := range clients {
			client.Close()
		}
	}
}

// ours says whether a process is Porthole's: those of gokrazy may come and go.
func ours(name string) bool { _, ok := unixsock.UID(name); return ok }
