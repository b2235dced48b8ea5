//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// instance is the part of a gokrazy instance's config.json that matters here (config.Struct in
// github.com/gokrazy/internal/config, which only gokrazy itself may import).
type instance struct {
	Hostname      string
	Packages      []string
	PackageConfig map[string]packageConfig
}

// packageConfig is gokrazy's config.PackageConfig, as far as starting a process goes. WaitForClock and WaitFor are met
// on a machine that has a clock and a network.
type packageConfig struct {
	Basename         string
	Environment      []string
	CommandLineFlags []string
	DontStart        bool
}

func readInstance(file string) (instance, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return instance{}, fmt.Errorf("read process list: %w", err)
	}
	var in instance
	if err := json.Unmarshal(b, &in); err != nil {
		return instance{}, fmt.Errorf("read process list %s: %w", file, err)
	}
	if len(in.Packages) == 0 {
		return instance{}, fmt.Errorf("read process list: %s names no packages", file)
	}
	return in, nil
}
