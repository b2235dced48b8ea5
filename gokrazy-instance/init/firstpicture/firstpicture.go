// Package firstpicture has something on the screen while init is still at work: it hands the screen over and starts
// player once, for one picture, before the supervisor and everything that competes for processor and card.
package firstpicture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"porthole/hw/devperm"
	"porthole/hw/uevent"
)

// limit ends a program that hangs, so that it does not keep the screen from player.
const limit = 10 * time.Second

// Program is what shows the picture.
type Program struct {
	Path string
	Args []string
	// User is who runs it, and a member of group Video, to which screens are handed over. Both 0: whoever init is (tests).
	User, Video int
	// Nodes are the devices.
	Nodes devperm.Nodes
}

// Showing is a picture on its way.
type Showing struct {
	done chan struct{}
	err  error         // set before done is closed
	took time.Duration // likewise
	stop func()
}

// Start hands the screens over that are there, and those that come until Stop, and starts the program. It returns at once.
func Start(ctx context.Context, p Program) *Showing {
	begin := time.Now()
	s := &Showing{done: make(chan struct{})}
	var handing sync.WaitGroup
	events, err := uevent.Listen()
	if err == nil {
		handing.Go(func() { handOver(p, events) })
	}
	// Errors about devices are system's to tell, which does the same in a moment.
	_, _ = p.Nodes.Grant(p.Video)
	s.stop = sync.OnceFunc(func() {
		if events != nil {
			events.Close()
		}
		handing.Wait()
	})
	ctx, cancel := context.WithTimeout(ctx, limit)
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.User != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(p.User), Gid: uint32(p.User), Groups: []uint32{uint32(p.Video)}}
	}
	go func() {
		defer close(s.done)
		defer cancel()
		if err := cmd.Run(); err != nil {
			s.err = fmt.Errorf("run %s: %w", p.Path, err)
		}
		s.took = time.Since(begin)
	}()
	return s
}

// handOver hands over what comes until events are closed.
func handOver(p Program, events *uevent.Listener) {
	for {
		ev, err := events.Next()
		if err != nil {
			return
		}
		_, _ = p.Nodes.GrantNew(ev, p.Video) // as in Start
	}
}

// ErrSlow means that the picture is not there yet; it may still come.
var ErrSlow = errors.New("it takes longer than the start of everything else should wait")

// Wait waits for the picture, at most as long as given, and says how long it took from Start.
func (s *Showing) Wait(ctx context.Context, most time.Duration) (time.Duration, error) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-s.done:
		return s.took, s.err
	case <-t.C:
		return 0, ErrSlow
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Stop ends the handing over, which is system's from then on.
func (s *Showing) Stop() { s.stop() }
