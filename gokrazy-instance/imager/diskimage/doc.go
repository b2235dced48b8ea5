// Package diskimage makes Porthole's disk images. gok (https://gokrazy.org) compiles the programs and gathers kernel,
// firmware and boot loader; this package takes gok's two file systems apart, leaves out what would differ between
// machines or does not belong in an image (the build machine's time zone, its certificate store, paths), and puts the
// rest together: MBR, a FAT boot partition with two slots, two root partitions and a small /perm.
//
// The same commit gives the same bytes: every time stamp is the commit's, every order is sorted, every identifier is
// fixed. The file systems are made by Debian's own tools (squashfs-tools, e2fsprogs), which have a reproducible mode, and
// the boot partition by packages/internal/bootpart.
package diskimage
