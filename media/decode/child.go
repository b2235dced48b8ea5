package decode

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childName is the argv[0] that makes Child take over.
const childName = "porthole-decoder"

// File descriptors of the child besides stdin (/dev/null), stdout (frames) and stderr (log).
const (
	inputFD  = 3
	statusFD = 4
)

// Restrictions is what a child was denied.
type Restrictions struct {
	Applied []string `json:"applied"` // "limits", "no_new_privs", "landlock", "seccomp", "first to go when memory is short"
	Missing []string `json:"missing"` // what this kernel does not support, with the reason
}

// order is what the child is told, as JSON in argv[1].
type order struct {
	Binary string   `json:"binary"`
	Args   []string `json:"args"`
	Memory uint64   `json:"memory"`
	Shared bool     `json:"shared"` // memoryFD and freeFD are there
	CPU    uint64   `json:"cpu"`    // seconds of processor time, 0: no limit
	File   bool     `json:"file"`   // the input is a file, to be opened as /proc/self/fd/3

	Libraries []string `json:"libraries,omitempty"` // folders that may be read
}

// report is what the child answers on its status pipe before it becomes ffmpeg; the pipe's end without an error means that it did.
type report struct {
	Restrictions
	Error string `json:"error"`
}

// child is a running decoder process.
type child struct {
	restrictions Restrictions

	stdout, stderr *os.File
	input          *os.File // a live stream's pipe, else nil

	process *os.Process
	killed  atomic.Bool
	exited  chan struct{}
	state   *os.ProcessState // set before exited is closed
	waitErr error
}

// startChild starts the child and returns once it has become ffmpeg. Its pictures come in mem, or, if that is nil, over its
// standard output.
func startChild(ctx context.Context, opts Options, mem *shared) (*child, error) {
	var theirs, ours []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() { closeAll(theirs) }()
	pipe := func(toChild bool) (*os.File, *os.File, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		mine, its := r, w
		if toChild {
			mine, its = w, r
		}
		theirs, ours = append(theirs, its), append(ours, mine)
		return mine, its, nil
	}
	frames, stdout, err1 := pipe(false)
	errlog, stderr, err2 := pipe(false)
	status, report, err3 := pipe(false)
	if err := errors.Join(err1, err2, err3); err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("make pipes: %w", err)
	}
	c := &child{stdout: frames, stderr: errlog, exited: make(chan struct{})}
	input := opts.File
	if opts.Live != nil {
		var err error
		if c.input, input, err = pipe(true); err != nil {
			closeAll(ours)
			return nil, fmt.Errorf("make pipes: %w", err)
		}
		// What lies in the pipe is delay; a megabyte of frames on the other side saves switches between the processes.
		setPipeSize(c.input, 16<<10)
	}
	cmd, err := command(opts, mem)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.ExtraFiles = []*os.File{input, report}
	if mem == nil {
		setPipeSize(frames, 1<<20)
	} else {
		// The memory closes our end, as frames outlive the child.
		free, w, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			return nil, fmt.Errorf("make pipes: %w", err)
		}
		mem.free = w
		theirs = append(theirs, free)
		cmd.ExtraFiles = append(cmd.ExtraFiles, mem.file, free)
	}
	if err := c.start(cmd); err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("start decoder: %w", err)
	}
	closeAll(theirs)
	theirs = nil
	c.restrictions, err = readReport(ctx, status)
	status.Close()
	if err != nil {
		if !errors.Is(err, errNoAnswer) {
			c.kill()
		}
		<-c.exited
		closeAll(ours)
		return nil, fmt.Errorf("start decoder %s: %w (%v)", opts.Binary, err, c.state)
	}
	return c, nil
}

// command is this program again, to be taken over by Child.
func command(opts Options, mem *shared) (*exec.Cmd, error) {
	o := order{Binary: opts.Binary, Args: arguments(opts, mem), Memory: uint64(opts.MaxMemory), File: opts.File != nil, Libraries: opts.Libraries}
	if mem != nil {
		o.Shared = true
		o.Memory += uint64(len(mem.mem))
	}
	if opts.Timeout > 0 {
		// Wall-clock time is limited from outside; this is for a child whose parent died.
		o.CPU = uint64(opts.Timeout/time.Second+1) * uint64(runtime.NumCPU())
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: "/proc/self/exe",
		Args: []string{childName, string(text)},
		Dir:  "/",
		// One heap: glibc gives every thread its own, and each counts 64 MB against the limit on address space.
		Env: []string{"MALLOC_ARENA_MAX=1", "GOMAXPROCS=1", "GOTRACEBACK=none"},
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:   true, // a terminal's ^C is for the parent
			Pdeathsig: syscall.SIGKILL,
		},
	}, nil
}

// start starts the process and waits for it, both from one thread that lives as long as the process: Pdeathsig fires when
// the thread that forked ends.
func (c *child) start(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		c.process = cmd.Process
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			c.waitErr = err
		}
		c.state = cmd.ProcessState
		close(c.exited)
	}()
	return <-started
}

// errNoAnswer is said of a child that has ended, or closed its end, without a report.
var errNoAnswer = errors.New("the child did not answer: does main call decode.Child first?")

// readReport reads the child's report.
func readReport(ctx context.Context, status *os.File) (Restrictions, error) {
	stop := context.AfterFunc(ctx, func() { _ = status.SetReadDeadline(time.Now()) })
	defer stop()
	text, err := io.ReadAll(status)
	if ctx.Err() != nil {
		return Restrictions{}, ctx.Err()
	}
	if err != nil {
		return Restrictions{}, err
	}
	if len(text) == 0 {
		return Restrictions{}, errNoAnswer
	}
	// One that reports what it gave up and then cannot become ffmpeg reports a second time.
	var r report
	for answers := json.NewDecoder(bytes.NewReader(text)); answers.More(); {
		if err := answers.Decode(&r); err != nil {
			return Restrictions{}, fmt.Errorf("answer of the child: %w", err)
		}
		if r.Error != "" {
			return Restrictions{}, errors.New(r.Error)
		}
	}
	return r.Restrictions, nil
}

// kill ends the child at once. It is safe at any time.
func (c *child) kill() {
	select {
	case <-c.exited:
	default:
		c.killed.Store(true)
		_ = c.process.Kill() // it may have ended by itself
	}
}

// status is how the child ended; false if that is not known.
func (c *child) status() (syscall.WaitStatus, bool) {
	if c.state == nil || c.waitErr != nil {
		return 0, false
	}
	s, ok := c.state.Sys().(syscall.WaitStatus)
	return s, ok
}

func setPipeSize(f *os.File, size int) {
	if conn, err := f.SyscallConn(); err == nil {
		// A kernel that refuses (a limit on pipes) leaves the default of 64 KiB, which works.
		_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size) })
	}
}

// arguments is ffmpeg's command line.
func arguments(opts Options, mem *shared) []string {
	args := []string{
		"-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info",
		"-filter_threads", "1", "-noautorotate", "-max_pixels", strconv.Itoa(opts.MaxPixels),
		"-threads", strconv.Itoa(opts.Threads),
	}
	if opts.Live != nil {
		// No probing beyond the first packet, no thread that holds pictures back, times as they are.
		args = append(args, "-probesize", "32", "-analyzeduration", "1", "-fpsprobesize", "0", "-copyts")
		if opts.Threads == 1 && !opts.Live.Reorder {
			args = append(args, "-flags", "low_delay")
		}
		args = append(args, "-f", "nut", "-protocol_whitelist", "pipe", "-i", "pipe:"+strconv.Itoa(inputFD))
	} else {
		if opts.Start > 0 {
			args = append(args, "-noaccurate_seek", "-ss", strconv.FormatFloat(opts.Start.Seconds(), 'f', 3, 64))
		}
		if isJPEG(opts.File) {
			// FFmpeg finds out by looking at 5 MB, of which a large photo needs more.
			args = append(args, "-f", "mjpeg")
		}
		args = append(args, "-protocol_whitelist", "file", "-i", "/proc/self/fd/"+strconv.Itoa(inputFD))
	}
	if opts.Encode != nil {
		return append(args, opts.encoding()...)
	}
	args = append(args,
		"-map", "0:V:0", "-map_metadata", "-1", "-map_chapters", "-1", "-vf", opts.scaling()+"format=yuv420p|yuvj420p",
		"-fps_mode", "passthrough", "-enc_time_base", "1:90000")
	if mem != nil {
		args = append(args, mem.args()...)
	} else {
		args = append(args, "-c:v", "rawvideo")
	}
	return append(args, "-threads:v", "1", "-f", "nut", "-write_index", "0", "-flush_packets", "1", "pipe:1")
}

// isJPEG looks for the first two markers of a photo, or of motion JPEG without a container (ITU-T T.81, B.1.1.3).
func isJPEG(f *os.File) bool {
	var head [3]byte
	n, _ := f.ReadAt(head[:], 0)
	return n == len(head) && head == [3]byte{0xff, 0xd8, 0xff}
}

// scaling is the filter that keeps MaxSize, with a comma behind it, or nothing.
func (opts Options) scaling() string {
	s := opts.MaxSize
	if s == (Options{}).MaxSize {
		return ""
	}
	x, y := cmp.Or(s.X, 1<<15), cmp.Or(s.Y, 1<<15)
	return fmt.Sprintf("scale=w='min(iw,%d)':h='min(ih,%d)':force_original_aspect_ratio=decrease:flags=fast_bilinear,", x, y)
}
