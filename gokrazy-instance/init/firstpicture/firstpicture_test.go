package firstpicture_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/gokrazy-instance/init/firstpicture"
	"porthole/hw/devperm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program starts a shell command for a device without any screen.
func program(t *testing.T, script string) firstpicture.Program {
	t.Helper()
	return firstpicture.Program{Path: "/bin/sh", Args: []string{"-c", script}, Nodes: devperm.Nodes{Root: t.TempDir()}}
}

// TestShows: the program runs at once, and its end is the picture.
func TestShows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shown")
	s := firstpicture.Start(t.Context(), program(t, "echo shown > "+file))
	defer s.Stop()
	took, err := s.Wait(t.Context(), time.Minute)
	if err != nil || took <= 0 {
		t.Fatalf("after %v: %v", took, err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "shown\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestFails: a program that shows nothing, and one that is not there, are told of and hold nobody up.
func TestFails(t *testing.T) {
	s := firstpicture.Start(t.Context(), program(t, "exit 3"))
	defer s.Stop()
	if _, err := s.Wait(t.Context(), time.Minute); err == nil {
		t.Error("exit status 3 is no picture")
	}
	p := program(t, "")
	p.Path = filepath.Join(t.TempDir(), "absent")
	absent := firstpicture.Start(t.Context(), p)
	defer absent.Stop()
	if _, err := absent.Wait(t.Context(), time.Minute); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent program: %v", err)
	}
}

// TestHangs: nobody waits longer than they are willing to, and the end of init ends the program.
func TestHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := firstpicture.Start(ctx, program(t, "exec sleep 1000"))
	defer s.Stop()
	if _, err := s.Wait(t.Context(), 50*time.Millisecond); !errors.Is(err, firstpicture.ErrSlow) {
		t.Errorf("a program that hangs: %v", err)
	}
	cancel()
	if _, err := s.Wait(t.Context(), time.Minute); err == nil || errors.Is(err, firstpicture.ErrSlow) {
		t.Errorf("a program that was ended: %v", err)
	}
}
