package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"porthole/gokrazy-instance/imager/keys"
)

// makeKeys makes the keys that updates are signed with, or rotates them.
func makeKeys(args []string) error {
	fs := flag.NewFlagSet("imager keys", flag.ContinueOnError)
	dir := fs.String("dir", "keys", "`folder` for the keys")
	rotate := fs.Bool("rotate", false, "the next key becomes the current one, and a new next one is made")
	missing := fs.Bool("if-missing", false, "do nothing if there are keys already")
	if err := fs.Parse(args); err != nil {
		return err
	}
	password := os.Getenv(keys.PasswordVariable)
	if *rotate {
		id, err := keys.Rotate(*dir, password)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "Updates are signed with key %s from now on; the former key is kept beside it under retired-….\n"+
			"Build and publish an update: devices learn the new next key from it. Devices that take none before the next rotation are left behind.\n", id)
		return explain(*dir, password)
	}
	made, err := keys.Made(*dir)
	if err != nil || made && *missing {
		return err
	}
	if err := keys.Make(*dir, password); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "There were no keys to sign updates with: made two in %s.\n", *dir)
	return explain(*dir, password)
}

// explain says what to keep where.
func explain(dir, password string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find folder: %w", err)
	}
	fmt.Fprintf(os.Stderr, `
In %s:
  release.key  signs updates. Whoever has it can put anything on your devices: back it up, show it to nobody.
  next.key     takes its place when it is lost or stolen (make keys ROTATE=1). Building does not need it: move it away from
               this machine, for example to two USB sticks in two places.
  *.pub        are in every image. A device takes only updates that one of these two keys has signed: with both private keys
               lost, it takes none ever again.

`, abs)
	if password == "" {
		fmt.Fprintln(os.Stderr, "The private keys have no password; set "+keys.PasswordVariable+" before you make them to give them one.")
	}
	return nil
}
