// Command imager makes Porthole's disk images and writes them to cards.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"porthole/gokrazy-instance/imager/flash"
)

// errUsage says what there is.
var errUsage = errors.New("say what to do: `imager keys` makes the keys that updates are signed with, `imager image` builds a disk image, `imager update` an image and its update, `imager flash` writes an image to a card; each takes -help")

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
	case "image", "update":
		return build(ctx, args[0] == "update", args[1:])
	case "keys":
		return makeKeys(args[1:])
	case "flash":
		return flashCard(ctx, args[1:])
	default:
		return errUsage
	}
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
