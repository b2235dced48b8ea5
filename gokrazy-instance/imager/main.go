// Command imager makes Porthole's disk images and writes them to cards.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"porthole/gokrazy-instance/imager/diskimage"
	"porthole/gokrazy-instance/imager/flash"
)

// errUsage says what there is.
var errUsage = errors.New("say what to do: `imager image` builds a disk image, `imager flash` writes one to a card; each takes -help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "imager:", err)
		}
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "image":
		return image(ctx, args[1:])
	case "flash":
		return flashCard(ctx, args[1:])
	default:
		return errUsage
	}
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func image(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("imager image", flag.ContinueOnError)
	board := fs.String("board", "pi", "`board` to build for: pi or vm")
	repo := fs.String("repo", ".", "`folder` of the checkout")
	out := fs.String("out", "build", "`folder` for the image")
	version := fs.String("version", "devel", "what the programs say of themselves")
	zst := fs.Bool("zst", false, "also write a compressed copy")
	var overlays, packages list
	fs.Var(&overlays, "overlay", "`folder` laid over the root file system; may be given several times")
	fs.Var(&packages, "package", "further `program` of this module to run, by import path, for tests; may be given several times")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b, err := diskimage.BoardByName(*board)
	if err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache: %w", err)
	}
	at, err := commitTime(ctx, *repo)
	if err != nil {
		return err
	}
	builder := &diskimage.Builder{
		Board: b, Repo: *repo, Out: *out, Cache: filepath.Join(cache, "porthole"), Version: *version, Time: at,
		Packages: packages, Overlays: overlays, Progress: os.Stderr,
	}
	path, err := builder.Image(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, path)
	if *zst {
		if path, err = builder.Compress(ctx, path); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, path)
	}
	return nil
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

func flashCard(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("imager flash", flag.ContinueOnError)
	j := flash.Job{In: os.Stdin, Out: os.Stderr, Host: flash.Host{Sys: "/sys", Proc: "/proc"}}
	fs.StringVar(&j.Image, "image", "build/porthole-pi.img", "`file` to write: .img or .img.zst")
	fs.StringVar(&j.Disk, "disk", "", "the card, for example `/dev/sdX`")
	fs.BoolVar(&j.Fixed, "fixed", false, "allow a disk that is built in")
	fs.StringVar(&j.Yes, "yes", "", "the disk's `name`, for scripts: do not ask")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if j.Disk == "" {
		return errors.New("name the card: -disk /dev/sdX (make flash DISK=/dev/sdX). `lsblk` lists the disks")
	}
	return j.Run(ctx)
}
