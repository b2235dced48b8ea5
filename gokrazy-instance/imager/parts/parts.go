//go:build parts

// Package gok pins the tool that builds an image and the parts of an image that are not Porthole's own, in a module of
// their own: what the tool needs must not raise the versions Porthole's programs are built with.
package gok

import (
	_ "github.com/gokrazy/firmware"
	_ "github.com/gokrazy/gokrazy/cmd/dhcp"
	_ "github.com/gokrazy/gokrazy/cmd/ntp"
	_ "github.com/gokrazy/gokrazy/cmd/randomd"
	_ "github.com/gokrazy/kernel.amd64"
	_ "github.com/gokrazy/kernel.rpi"
)
