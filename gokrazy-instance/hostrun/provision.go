//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/google/renameio/v2"
)

// copyProvision puts the file where a device would find it on its boot partition.
func copyProvision(file string) error {
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no provisioning file %s: copy overlays/boot/porthole.toml and fill it in", file)
		}
		return fmt.Errorf("open provisioning file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 2<<20)) // system reads less than that
	if err != nil {
		return fmt.Errorf("read provisioning file: %w", err)
	}
	if err := renameio.WriteFile("boot/porthole.toml", b, 0o600); err != nil {
		return fmt.Errorf("copy provisioning file: %w", err)
	}
	return nil
}

// passwordPending asks system whether a porthole.toml with the administrator's password waits to be taken over.
func passwordPending(ctx context.Context) (bool, error) {
	var waiting struct {
		Provision struct {
			AdminPassword string `json:"admin_password"`
		} `json:"provision"`
	}
	status, err := ask(ctx, "run/system/system.sock", "/provision", &waiting)
	if err != nil {
		return false, err
	}
	if status != http.StatusOK && status != http.StatusNotFound {
		return false, fmt.Errorf("system answers %d", status)
	}
	return waiting.Provision.AdminPassword != "", nil
}
