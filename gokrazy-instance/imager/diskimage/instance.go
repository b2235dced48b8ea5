package diskimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path of Porthole's own module; initPackage is its init program.
const (
	module      = "porthole"
	initPackage = module + "/gokrazy-instance/init"
)

// instance is what this package knows of a gokrazy instance's config.json
// (https://gokrazy.org/userguide/instance-config/). Keys it does not know are kept in rest.
type instance struct {
	packages        []string
	gokrazyPackages []string
	packageConfig   map[string]packageConfig
	rest            map[string]json.RawMessage
}

// packageConfig is one package's part of config.json.
type packageConfig struct {
	GoBuildFlags     []string          `json:",omitempty"`
	GoBuildTags      []string          `json:",omitempty"`
	Environment      []string          `json:",omitempty"`
	CommandLineFlags []string          `json:",omitempty"`
	ExtraFilePaths   map[string]string `json:",omitempty"`
	DontStart        bool              `json:",omitempty"`
	WaitForClock     bool              `json:",omitempty"`
}

// Process is one entry of the list that init supervises (/etc/porthole/processes.json in the image).
type Process struct {
	// Path is the program in the image.
	Path string `json:"path"`
	// Args are its flags, Env what is added to its environment.
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	// Stopped means that it waits to be started by hand, WaitForClock that it starts once the time is known.
	Stopped      bool `json:"stopped,omitempty"`
	WaitForClock bool `json:"wait_for_clock,omitempty"`
}

// readInstance reads gokrazy-instance/pi/config.json, the one list of processes, and for another board replaces those
// top-level keys of it that the board's own config.json names.
func readInstance(dir, board string) (*instance, error) {
	all, err := readKeys(filepath.Join(dir, "pi", "config.json"))
	if err != nil {
		return nil, err
	}
	if board != "pi" {
		path := filepath.Join(dir, board, "config.json")
		own, err := readKeys(path)
		if err != nil {
			return nil, err
		}
		for key, value := range own {
			if key == "Packages" || key == "PackageConfig" {
				return nil, fmt.Errorf("%s: %s may stand in gokrazy-instance/pi/config.json only: there is one list of processes", path, key)
			}
			all[key] = value
		}
	}
	in := &instance{rest: all}
	for key, into := range map[string]any{
		"Packages": &in.packages, "GokrazyPackages": &in.gokrazyPackages, "PackageConfig": &in.packageConfig,
	} {
		if raw, ok := all[key]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return nil, fmt.Errorf("read %s of the instance: %w", key, err)
			}
		}
		delete(all, key)
	}
	if len(in.packages) == 0 {
		return nil, fmt.Errorf("%s names no packages", filepath.Join(dir, "pi", "config.json"))
	}
	if in.packageConfig == nil {
		in.packageConfig = map[string]packageConfig{}
	}
	return in, nil
}

func readKeys(path string) (map[string]json.RawMessage, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read instance: %w", err)
	}
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, fmt.Errorf("read instance %s: %w", path, err)
	}
	return keys, nil
}

// stamp gives every program its linker flags: no symbol table (a third of the size), the version, and for init the
// stamp it shows at boot.
func (in *instance) stamp(version string) {
	for _, pkg := range append(append([]string{initPackage}, in.gokrazyPackages...), in.packages...) {
		flags := []string{"-s", "-w"}
		switch {
		case pkg == initPackage:
			flags = append(flags, "-X main.version="+version)
		case strings.HasPrefix(pkg, module+"/"):
			flags = append(flags, "-X "+module+"/packages/internal/daemon.version="+version)
		}
		pc := in.packageConfig[pkg]
		pc.GoBuildFlags = append(pc.GoBuildFlags, "-ldflags="+strings.Join(flags, " "))
		in.packageConfig[pkg] = pc
	}
}

// addArgs adds flags to processes.
func (in *instance) addArgs(args map[string][]string) error {
	for name, flags := range args {
		i := slices.IndexFunc(in.packages, func(pkg string) bool { return path.Base(pkg) == name })
		if i < 0 {
			return fmt.Errorf("there is no process %q to give %s to", name, strings.Join(flags, " "))
		}
		pc := in.packageConfig[in.packages[i]]
		pc.CommandLineFlags = append(pc.CommandLineFlags, flags...)
		in.packageConfig[in.packages[i]] = pc
	}
	return nil
}

// processes returns the list init supervises: gokrazy's own programs, then ours.
func (in *instance) processes() []Process {
	var list []Process
	add := func(dir string, pkgs []string) {
		for _, pkg := range pkgs {
			pc := in.packageConfig[pkg]
			list = append(list, Process{
				Path: dir + filepath.Base(pkg), Args: pc.CommandLineFlags, Env: pc.Environment,
				Stopped: pc.DontStart, WaitForClock: pc.WaitForClock,
			})
		}
	}
	add("/gokrazy/", in.gokrazyPackages)
	add("/user/", in.packages)
	return list
}

// config returns the config.json that gok gets.
func (in *instance) config() map[string]any {
	out := map[string]any{
		"Packages": in.packages, "GokrazyPackages": in.gokrazyPackages, "PackageConfig": in.packageConfig,
		// No password: gokrazy then opens no TCP port at all. No certificate either: one made here would be the same on
		// every device.
		"Update":                     map[string]any{"NoPassword": true, "UseTLS": "off"},
		"InternalCompatibilityFlags": map[string]string{"InitPkg": initPackage},
		// Files of the EEPROM would make the firmware rewrite the bootloader whenever they are seen.
		"EEPROMPackage": "",
	}
	for key, value := range in.rest {
		if _, ours := out[key]; !ours {
			out[key] = value
		}
	}
	return out
}

// write makes a folder that gok takes as an instance.
func (in *instance) write(dir, repo string) error {
	b, err := json.MarshalIndent(in.config(), "", "  ")
	if err != nil {
		return fmt.Errorf("encode instance: %w", err)
	}
	builddir := filepath.Join(dir, "builddir")
	if err := os.MkdirAll(builddir, 0o755); err != nil {
		return fmt.Errorf("make instance: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644); err != nil {
		return fmt.Errorf("write instance: %w", err)
	}
	// Our own programs are built in the checkout itself, so that its go.mod alone decides on their modules and no path
	// gets into them by a replace line; everything else in a copy of the parts module.
	if err := os.Symlink(repo, filepath.Join(builddir, module)); err != nil {
		return fmt.Errorf("link checkout into instance: %w", err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(repo, "gokrazy-instance", "imager", "parts", name))
		if err != nil {
			return fmt.Errorf("read parts module: %w", err)
		}
		if err := os.WriteFile(filepath.Join(builddir, name), b, 0o644); err != nil {
			return fmt.Errorf("write parts module: %w", err)
		}
	}
	return nil
}

// runGok compiles everything and leaves gok's root.squashfs and boot.fat in the build folder.
func (b *Builder) runGok(ctx context.Context) error {
	in, err := readInstance(filepath.Join(b.Repo, "gokrazy-instance"), b.Board.Name)
	if err != nil {
		return err
	}
	in.packages = append(in.packages, b.Packages...)
	if err := in.addArgs(b.Args); err != nil {
		return err
	}
	in.stamp(b.Version)
	if err := in.write(b.work("instance"), b.Repo); err != nil {
		return err
	}
	list, err := json.MarshalIndent(in.processes(), "", "  ")
	if err != nil {
		return fmt.Errorf("encode process list: %w", err)
	}
	if err := os.WriteFile(b.work("processes.json"), append(list, '\n'), 0o644); err != nil {
		return fmt.Errorf("write process list: %w", err)
	}
	gok := filepath.Join(b.Out, "tools", "gok")
	if _, err := (tool{name: "go", args: []string{"build", "-o", gok, "github.com/gokrazy/tools/cmd/gok"},
		dir: filepath.Join(b.Repo, "gokrazy-instance", "imager", "gok")}).run(ctx); err != nil {
		return err
	}
	env, err := b.gokEnv(ctx)
	if err != nil {
		return err
	}
	before, err := b.modules()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.work("gok", "home"), 0o755); err != nil {
		return fmt.Errorf("make gok's folder: %w", err)
	}
	if _, err := (tool{name: gok, env: env, dir: b.work("gok"), args: []string{"--parent_dir", b.work(), "-i", "instance",
		"overwrite", "--root", b.work("gok", "root.squashfs"), "--boot", b.work("gok", "boot.fat")}}).run(ctx); err != nil {
		return err
	}
	after, err := b.modules()
	if err != nil {
		return err
	}
	if before != after {
		return errors.New("the build changed go.mod or go.sum: run `go mod tidy`, look at the difference and commit it")
	}
	return nil
}

// gokEnv makes gok's builds depend on the checkout alone: no settings of the user's gokrazy, no paths, no cgo.
func (b *Builder) gokEnv(ctx context.Context) ([]string, error) {
	// These have defaults below HOME and XDG_CONFIG_HOME, which gok must not see.
	env, err := goEnv(ctx, "GOENV", "GOCACHE", "GOMODCACHE", "GOPATH")
	if err != nil {
		return nil, err
	}
	home := b.work("gok", "home")
	return append(env,
		"HOME="+home, "XDG_CONFIG_HOME="+home, "GOWORK=off",
		"GOFLAGS=-trimpath -buildvcs=false", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.Board.Arch,
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=",
	), nil
}

// modules returns the checkout's go.mod and go.sum.
func (b *Builder) modules() (string, error) {
	var all strings.Builder
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(b.Repo, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read modules: %w", err)
		}
		all.Write(text)
	}
	return all.String(), nil
}
