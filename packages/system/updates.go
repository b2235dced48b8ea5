package main

import (
	"context"
	"path/filepath"

	"porthole/hw/block"
	"porthole/hw/power"
	"porthole/packages/internal/daemon"
	shared "porthole/packages/internal/update"
	"porthole/packages/system/supervisor"
	"porthole/packages/system/update"
)

// buildFile is what the image says of itself (gokrazy-instance/imager/diskimage).
const buildFile = "/etc/porthole/build.json"

// newUpdates makes what deals with updates. Where all processes share one user there is nothing to update: it says so.
func newUpdates(env daemon.Env, o options, processes *supervisor.Client) *update.Engine {
	cfg := update.Config{
		Log: env.Log, Dir: filepath.Join(env.PermDir, "system", "update"), RunDir: env.StateDir(),
		Healthy: o.healthy, Deadline: o.deadline,
		Checks: noChecks{},
	}
	if !env.SingleUser {
		cfg.BuildFile, cfg.KeysDir = buildFile, shared.KeysDir
		cfg.BootStatusFile = filepath.Join(env.RunDir, "boot-status.json")
		cfg.Medium = func(device string) (update.Medium, error) { return block.OpenMedium(device, block.Options{}) }
		cfg.Restart = deviceRestart{log: env.Log, stopOthers: processes.StopOthers, restart: power.Restart}.run
	}
	return update.New(cfg)
}

// noChecks finds nothing well.
type noChecks struct{}

// Look finds nothing.
func (noChecks) Look(context.Context) []shared.Check { return nil }
