package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"porthole/gokrazy-instance/imager/diskimage"
	"porthole/gokrazy-instance/imager/keys"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// flags of `imager image` and `imager update`.
type flags struct {
	board, repo, out, version, minimum, keys string
	zst                                      bool
	overlays, packages, args                 list
}

func parse(args []string) (*flags, error) {
	fs := flag.NewFlagSet("imager image|update", flag.ContinueOnError)
	var f flags
	fs.StringVar(&f.board, "board", "pi", "`board` to build for: pi or vm")
	fs.StringVar(&f.repo, "repo", ".", "`folder` of the checkout")
	fs.StringVar(&f.out, "out", "build", "`folder` for what is built")
	fs.StringVar(&f.version, "version", "", "what the programs say of themselves: [v]MAJOR.MINOR.PATCH[-N-gHASH][-dirty]")
	fs.StringVar(&f.minimum, "minimum", "", "oldest `version` that may take the update directly; empty: any")
	fs.StringVar(&f.keys, "keys", "", "`folder` of the keys that updates are signed with (imager keys); without one the image takes no updates")
	fs.BoolVar(&f.zst, "zst", false, "also write a compressed copy of the image")
	fs.Var(&f.overlays, "overlay", "`folder` laid over the root file system; may be given several times")
	fs.Var(&f.packages, "package", "further `program` of this module to run, by import path, for tests; may be given several times")
	fs.Var(&f.args, "arg", "`process=flag` to start a process with, for tests; may be given several times")
	return &f, fs.Parse(args)
}

// build builds an image and prints its path; with update also the update of the same build.
func build(ctx context.Context, update bool, args []string) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	b, err := f.builder(ctx)
	if err != nil {
		return err
	}
	path, err := b.Image(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, path)
	if update {
		if path, err := b.Update(ctx); err != nil {
			return err
		} else {
			fmt.Fprintln(os.Stdout, path)
		}
	}
	if f.zst {
		if path, err = b.Compress(ctx, path); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, path)
	}
	return nil
}

func (f *flags) builder(ctx context.Context) (*diskimage.Builder, error) {
	board, err := diskimage.BoardByName(f.board)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache: %w", err)
	}
	at, err := commitTime(ctx, f.repo)
	if err != nil {
		return nil, err
	}
	b := &diskimage.Builder{
		Board: board, Repo: f.repo, Out: f.out, Cache: filepath.Join(cache, "porthole"), Version: f.version, Time: at, Minimum: f.minimum,
		Packages: f.packages, Overlays: f.overlays, Args: map[string][]string{}, Progress: os.Stderr,
	}
	for _, a := range f.args {
		process, arg, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("-arg %s does not look like process=flag", a)
		}
		b.Args[process] = append(b.Args[process], arg)
	}
	if f.keys != "" {
		if b.Keys, err = keys.Load(f.keys, os.Getenv(keys.PasswordVariable)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// commitTime is the time of everything in the image: SOURCE_DATE_EPOCH
// (https://reproducible-builds.org/specs/source-date-epoch/), or when the last commit was made.
func commitTime(ctx context.Context, repo string) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.CommandContext(ctx, "git", "-C", repo, "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("ask git for the time of the last commit (set SOURCE_DATE_EPOCH where there is no git): %w", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
