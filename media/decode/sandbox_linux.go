package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Child takes over the process if it was started to be a decoder, and never returns then: it gives up everything that a
// decoder does not need and becomes ffmpeg. In any other process it returns at once. It must be the first call in main (or TestMain)
// of a program that uses this package.
func Child() {
	if len(os.Args) != 2 || os.Args[0] != childName {
		return
	}
	status := os.NewFile(statusFD, "status")
	unix.CloseOnExec(statusFD)
	err := becomeDecoder(os.Args[1], status)
	text, _ := json.Marshal(report{Error: err.Error()}) // strings always marshal
	_, _ = status.Write(text)
	os.Exit(1)
}

// becomeDecoder returns only on failure, before anything was reported.
func becomeDecoder(text string, status *os.File) error {
	runtime.LockOSThread() // seccomp holds for the thread that becomes ffmpeg
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	if err := unix.Access(o.Binary, unix.X_OK); err != nil {
		return fmt.Errorf("not an executable program: %w", err)
	}
	var r Restrictions
	note := func(what string, err error) {
		if err == nil {
			r.Applied = append(r.Applied, what)
		} else {
			r.Missing = append(r.Missing, what+": "+err.Error())
		}
	}
	note("first to go when memory is short", os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0))
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	note("no_new_privs", nil)
	note("landlock", restrictFiles(o))
	// Descriptors above the status pipe: Go's own, and any that the parent's parents left open.
	last := uint(statusFD)
	if o.Shared {
		last = freeFD
	}
	note("no other descriptors", unix.CloseRange(last+1, ^uint(0), unix.CLOSE_RANGE_CLOEXEC))
	if err := limit(o); err != nil {
		return err
	}
	note("limits", nil)

	argv, err := syscall.SlicePtrFromStrings(append([]string{"ffmpeg"}, o.Args...))
	if err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	envv, err := syscall.SlicePtrFromStrings([]string{"MALLOC_ARENA_MAX=1"})
	if err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	path, err := syscall.BytePtrFromString(o.Binary)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	note("seccomp", filterSyscalls())
	answer, err := json.Marshal(report{Restrictions: r})
	if err != nil {
		return err
	}
	// From here on the Go runtime must not need memory: the limit counts what it has reserved already.
	memory := unix.Rlimit{Cur: o.Memory, Max: o.Memory}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_AS, uintptr(unsafe.Pointer(&memory)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("limit memory to %d bytes: %w", o.Memory, errno)
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_WRITE, statusFD, uintptr(unsafe.Pointer(unsafe.SliceData(answer))), uintptr(len(answer)))
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
			uintptr(unsafe.Pointer(unsafe.SliceData(argv))), uintptr(unsafe.Pointer(unsafe.SliceData(envv))))
	}
	runtime.KeepAlive(status)
	return fmt.Errorf("execute: %w", errno)
}

// limit sets resource limits, all but that on memory.
func limit(o order) error {
	for _, l := range []struct {
		what  int
		name  string
		value uint64
	}{
		{unix.RLIMIT_CORE, "core dumps", 0},
		{unix.RLIMIT_FSIZE, "file size", 0},
		{unix.RLIMIT_NOFILE, "open files", 16},
		{unix.RLIMIT_CPU, "processor time", o.CPU},
	} {
		if l.what == unix.RLIMIT_CPU && l.value == 0 {
			continue
		}
		// syscall, not unix: it also keeps the runtime from undoing the limit on files.
		if err := syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %s to %d: %w", l.name, l.value, err)
		}
	}
	return nil
}

// restrictFiles leaves the child its program to execute and its item to read; nothing else of the file system, no network,
// no signals and no sockets of others, as far as the kernel's Landlock goes.
func restrictFiles(o order) error {
	abi, err := llsys.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return errors.New("not in this kernel, or switched off")
	}
	rules := []landlock.Rule{landlock.ROFiles(o.Binary)}
	if len(o.Libraries) > 0 {
		rules = append(rules, landlock.RODirs(o.Libraries...).IgnoreIfMissing())
	}
	if o.File {
		rules = append(rules, landlock.PathAccess(llsys.AccessFSReadFile, "/proc/self/fd/"+strconv.Itoa(inputFD)))
	}
	err = landlock.V11.BestEffort().Restrict(rules...)
	if errors.Is(err, unix.EBADFD) {
		return errors.New("the item is in a file system that Landlock cannot name")
	}
	return err
}
