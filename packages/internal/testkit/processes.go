package testkit

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CallAs makes one call to a server at a unix socket as another user and returns its status, 0 when the connection was closed
// instead. The user id is that of one thread, which ends with it; -1 is the test's own. It needs root.
func CallAs(uid int, socket, method, target string) (status int, err error) {
	type dialed struct {
		c   net.Conn
		err error
	}
	ch := make(chan dialed)
	go func() {
		runtime.LockOSThread()
		if uid >= 0 {
			if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				ch <- dialed{nil, e}
				return
			}
		}
		c, err := net.Dial("unix", socket)
		ch <- dialed{c, err}
	}()
	d := <-ch
	if d.err != nil {
		return 0, fmt.Errorf("connect: %w", d.err)
	}
	defer d.c.Close()
	fmt.Fprintf(d.c, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target)
	line, err := bufio.NewReader(d.c).ReadString('\n')
	if err != nil {
		return 0, nil //nolint:nilerr // closed by the other side: that is the answer
	}
	_, err = fmt.Sscanf(strings.TrimSpace(line), "HTTP/1.1 %d", &status)
	return status, err
}

// CutPower runs the test's program with a variable set, kills it at some moment within that time after it has said "begins",
// and returns the words it said behind that, the last of which may be cut. TestMain tells by the variable that it is to do what
// is cut off, instead of tests; it does not end by itself.
func CutPower(t testing.TB, variable, value string, within time.Duration) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+value)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	first, err := out.ReadString('\n')
	if err != nil || first != "begins\n" {
		t.Fatalf("%q, %v\n%s", first, err, stderr.String())
	}
	kill := time.AfterFunc(rand.N(within), func() { _ = cmd.Process.Kill() })
	said, err := io.ReadAll(out)
	kill.Stop()
	if errWait := cmd.Wait(); err != nil || errWait == nil || stderr.Len() > 0 {
		t.Fatalf("%v, %v\n%s", err, errWait, stderr.String())
	}
	return strings.Fields(string(said))
}
