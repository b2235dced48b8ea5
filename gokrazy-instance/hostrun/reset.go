//go:build linux

package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"porthole/gokrazy-instance/init/factoryreset"
)

// resetState does what init does when a device starts: it empties the storage if somebody wants the device as it was when it was
// new. What a restart of a device forgets by itself goes too.
func resetState(log *slog.Logger) {
	by, problem := factoryreset.Reset{PermDir: "perm", BootDir: "boot"}.Run()
	if problem != "" {
		log.Error("factory reset", "problem", problem)
	}
	if by == "" {
		return
	}
	left, err := os.ReadDir("run")
	if err != nil {
		log.Error("factory reset", "err", err)
	}
	for _, e := range left {
		if path := filepath.Join("run", e.Name()); path != controlSocket {
			if err := os.RemoveAll(path); err != nil {
				log.Error("factory reset", "err", err)
			}
		}
	}
	log.Info("factory reset: the storage was emptied", "by", by)
}
