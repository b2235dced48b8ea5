package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"porthole/integration/stack"
	"porthole/media/samples"
)

const (
	// uploadBytes is more than fits into 31 bits, or into any cache of a Raspberry Pi.
	uploadBytes = 3 << 30
	// uploadPart is what console's pages send at once.
	uploadPart = 8 << 20
)

// besideUploads sends a video of some GB as a browser does, in parts that are on the disk before the next one is sent, and
// fetches its end. Memory must not grow with the file.
func besideUploads(ctx context.Context, dir, bin string) error {
	run, err := startStack(ctx, dir, bin, "uploads", fmt.Sprintf("[admin]\npassword = %q\n", signagePassword))
	if err != nil {
		return err
	}
	defer run.Stop()
	u, err := run.NewUser(ctx)
	if err != nil {
		return err
	}
	defer u.Close()
	if status, _, err := u.Post(ctx, "/login", url.Values{"user": {"admin"}, "password": {signagePassword}}); err != nil || status != 200 {
		return fmt.Errorf("log in: %d, %w", status, err)
	}
	t := newTable()
	if err := upload(ctx, t, run, u.Editor()); err != nil {
		said := run.Output()
		return fmt.Errorf("%w; Porthole said:\n%s", err, said[max(0, len(said)-4000):])
	}
	return t.print(os.Stdout)
}

// upload measures one upload.
func upload(ctx context.Context, t *table, run *stack.Stack, e *stack.Editor) error {
	all, err := run.PIDs(ctx)
	if err != nil {
		return err
	}
	pids := map[string]int{"proxy": all["proxy"], "console": all["console"]}
	before, err := usagesOf(pids)
	if err != nil {
		return err
	}
	began := time.Now()
	path, err := e.Create(ctx, "long.ts", uploadBytes)
	if err != nil {
		return err
	}
	// The clip again and again is one long transport stream.
	clip := samples.Demo()
	part := make([]byte, uploadPart)
	for at, pos := 0, 0; at < uploadBytes; {
		for n := 0; n < len(part); {
			copied := copy(part[n:], clip[pos:])
			n, pos = n+copied, (pos+copied)%len(clip)
		}
		kept, err := e.Send(ctx, path, at, part[:min(len(part), uploadBytes-at)])
		if err != nil {
			return err
		}
		at = kept
	}
	sent := time.Since(began)
	medium, err := e.Finished(ctx, path)
	if err != nil {
		return err
	}
	t.set("Porthole", "upload of 3 GiB in parts of 8 MiB, each durable", fmt.Sprintf("%.0f MB/s", uploadBytes/sent.Seconds()/1e6))
	t.set("Porthole", "from the last byte until it is known what it is", ms(time.Since(began)-sent))
	after, err := usagesOf(pids)
	if err != nil {
		return err
	}
	for _, name := range []string{"proxy", "console"} {
		cpu := after[name].cpu - before[name].cpu
		t.set("Porthole", name+", CPU per GB", fmt.Sprintf("%.2f s", cpu.Seconds()/uploadBytes*1e9))
		peak, err := peakOf(pids[name])
		if err != nil {
			return err
		}
		t.set("Porthole", name+", memory before / at most", mebibytes(before[name].rss)+" / "+mebibytes(peak))
	}
	return checkEnd(ctx, e, medium, clip)
}

// peakOf is the most memory that a process has had, in bytes.
func peakOf(pid int) (int, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	st, err := p.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return int(st.VmHWM), nil
}

// checkEnd fetches the last bytes, far beyond 2 GiB, and compares.
func checkEnd(ctx context.Context, e *stack.Editor, medium int64, clip []byte) error {
	const some = 1000
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/media/%d/file", e.Base, medium), nil)
	if err != nil {
		return fmt.Errorf("ask for the end: %w", err)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", uploadBytes-some))
	res, err := e.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("ask for the end: %w", err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, some+1))
	if err != nil {
		return fmt.Errorf("read the end: %w", err)
	}
	var want []byte
	for pos := (uploadBytes - some) % len(clip); len(want) < some; pos = 0 {
		want = append(want, clip[pos:min(len(clip), pos+some-len(want))]...)
	}
	if res.StatusCode != http.StatusPartialContent || !bytes.Equal(got, want) || !strings.HasPrefix(res.Header.Get("Content-Type"), "video/mp2t") {
		return fmt.Errorf("the end of the file is not what was sent: %s, %d bytes of %s", res.Status, len(got), res.Header.Get("Content-Type"))
	}
	return nil
}
