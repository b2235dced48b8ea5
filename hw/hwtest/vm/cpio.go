package vm

import (
	"bytes"
	"fmt"
)

// File types in a mode (include/uapi/linux/stat.h).
const (
	modeFile = 0o100000
	modeDir  = 0o040000
	modeChar = 0o020000
)

// entry is one file of an initial file system.
type entry struct {
	name         string
	mode         uint32
	major, minor uint32
	data         []byte
}

// write appends the entry in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).
func (e entry) write(b *bytes.Buffer) {
	b.WriteString("070701")
	for _, v := range []uint32{
		0, e.mode, 0, 0, 1, 0, uint32(len(e.data)), 0, 0, e.major, e.minor, uint32(len(e.name) + 1), 0,
	} {
		fmt.Fprintf(b, "%08x", v)
	}
	b.WriteString(e.name)
	b.WriteByte(0)
	pad(b)
	b.Write(e.data)
	pad(b)
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
