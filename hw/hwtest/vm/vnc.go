package vm

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// VNC is a viewer of a machine's screen: the size of its window is what the machine takes for its display. Without a
// window, nothing is plugged in.
type VNC struct {
	t    testing.TB
	conn net.Conn
}

// DialVNC connects (RFC 6143, section 7) to a socket, until the test ends.
func DialVNC(t testing.TB, path string) *VNC {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	v := &VNC{t, conn}
	v.read(12) // its version
	v.write([]byte("RFB 003.008\n"))
	v.read(int(v.read(1)[0])) // security types
	v.write([]byte{1})        // none
	v.read(4)
	v.write([]byte{1}) // shared
	init := v.read(24)
	v.read(int(binary.BigEndian.Uint32(init[20:])))
	// SetEncodings: raw, and the pseudo-encoding that allows SetDesktopSize (ExtendedDesktopSize, -308).
	v.write([]byte{2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xcc})
	return v
}

func (v *VNC) read(n int) []byte {
	v.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(v.conn, b); err != nil {
		v.t.Fatal(err)
	}
	return b
}

func (v *VNC) write(b []byte) {
	v.t.Helper()
	if _, err := v.conn.Write(b); err != nil {
		v.t.Fatal(err)
	}
}

// Resize asks for another size (SetDesktopSize); 0 by 0 unplugs.
func (v *VNC) Resize(w, h int) {
	v.t.Helper()
	msg := make([]byte, 24)
	msg[0], msg[6] = 251, 1
	binary.BigEndian.PutUint16(msg[2:], uint16(w))
	binary.BigEndian.PutUint16(msg[4:], uint16(h))
	binary.BigEndian.PutUint16(msg[16:], uint16(w))
	binary.BigEndian.PutUint16(msg[18:], uint16(h))
	v.write(msg)
}
