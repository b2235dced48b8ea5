package flash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Job is one image for one disk.
type Job struct {
	// Image is the file to write, raw or compressed (.zst); Disk is where to.
	Image, Disk string
	// Fixed allows a disk that is built in.
	Fixed bool
	// Yes is the disk's name, typed in advance by a script; empty asks.
	Yes string
	// In and Out are the person.
	In  io.Reader
	Out io.Writer
	// Host describes the machine.
	Host Host
}

// Run looks at the disk, asks, writes and reads back.
func (j Job) Run(ctx context.Context) error {
	d, err := j.Host.Find(j.Disk)
	if err != nil {
		return err
	}
	src, err := openImage(j.Image)
	if err != nil {
		return err
	}
	defer src.close()
	fmt.Fprintf(j.Out, "%s: %s, %s\n", d.Path, orUnknown(d.Model), Size(d.SizeBytes))
	if err := refuse(d, j.Fixed, src.size); err != nil {
		return err
	}
	if err := j.confirm(d); err != nil {
		return err
	}
	return write(ctx, src, d, j.Out)
}

// refuse says why a disk must not be written; image is the image's size, or 0 if it is not known before.
func refuse(d Disk, fixed bool, image int64) error {
	switch {
	case d.System:
		return fmt.Errorf("this computer's own system is on %s (%s): it will not be overwritten", d.Path, strings.Join(d.Uses, ", "))
	case len(d.Uses) > 0:
		return fmt.Errorf("%s is in use: %s. If it is the card, eject or unmount it first and leave it in its slot", d.Path, strings.Join(d.Uses, ", "))
	case !d.Removable && !fixed:
		return fmt.Errorf("%s is built into this computer, not a card or stick. If you are sure, say so with -fixed (make flash DISK=… FIXED=1)", d.Path)
	case image > d.SizeBytes:
		return fmt.Errorf("the image has %s, %s only %s: use a larger card", Size(image), d.Path, Size(d.SizeBytes))
	}
	return nil
}

// ErrDeclined means that the person did not want it.
var ErrDeclined = errors.New("nothing was written")

func (j Job) confirm(d Disk) error {
	answer := j.Yes
	if answer == "" {
		fmt.Fprintf(j.Out, "Everything on it will be lost. To go on, type its name, %s: ", d.Name)
		line, err := bufio.NewReader(j.In).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read answer: %w", err)
		}
		answer = strings.TrimSpace(line)
	}
	if answer != d.Name {
		return fmt.Errorf("%q is not %q: %w", answer, d.Name, ErrDeclined)
	}
	return nil
}

func orUnknown(model string) string {
	if model == "" {
		return "of an unknown make"
	}
	return model
}

// Size writes a number of bytes as makers of cards do: 1 GB is a thousand million.
func Size(n int64) string {
	switch {
	case n >= 1e12:
		return fmt.Sprintf("%.1f TB", float64(n)/1e12)
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
