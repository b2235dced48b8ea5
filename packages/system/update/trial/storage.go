package trial

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"porthole/packages/internal/durable"
)

const (
	// probeFile is what is written into the storage and removed again, probeBytes its size.
	probeFile  = "trial-check"
	probeBytes = 4096
	// probeEvery is how often: a look each second is not worth a write each.
	probeEvery = 10 * time.Second
)

const storedText = "The storage takes what is written, and gives it back."

// storage looks whether the storage takes what is written. A card that hangs keeps whoever writes to it for ever: that one is
// not waited for, and nobody else is sent after it.
func (t *Trial) storage(ctx context.Context) (string, error) {
	if !t.stored.IsZero() && time.Since(t.stored) < probeEvery {
		return storedText, nil
	}
	t.stored = time.Time{}
	if t.storing == nil {
		t.storing = make(chan error, 1)
		go func(end chan<- error) { end <- probe(filepath.Join(t.cfg.StorageDir, probeFile)) }(t.storing)
	}
	select {
	case err := <-t.storing:
		t.storing = nil
		if err != nil {
			t.cfg.Log.Warn("the storage on trial does not work", "err", err)
			return "", failf("The storage does not work: %s.", storageWords(err))
		}
	case <-ctx.Done():
		return "", failf("The storage does not take in time what is written: the card may be worn out.")
	}
	t.stored = time.Now()
	return storedText, nil
}

var errDiffers = errors.New("what was read differs from what was written")

// probe writes a file, reads it and removes it.
func probe(path string) (err error) {
	want := make([]byte, probeBytes)
	if _, err := rand.Read(want); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	defer func() {
		if rmErr := os.Remove(path); err == nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = rmErr
		}
	}()
	if err := durable.WriteFile(path, want, 0o600); err != nil {
		return err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errDiffers
	}
	return nil
}

func storageWords(err error) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "it is missing, or cannot be written to"
	case errors.Is(err, syscall.ENOSPC):
		return "it is full"
	case errors.Is(err, syscall.EIO), errors.Is(err, errDiffers):
		return "it does not give back what was written; the card may be worn out"
	}
	return fmt.Sprintf("%v", err)
}
