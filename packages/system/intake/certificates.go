package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"porthole/packages/internal/durable"
)

// File is a certificate's file as it lay on the boot partition.
type File struct {
	Name string `json:"name"`
	// Content is its bytes, in base64 in JSON, at most maxCertificate.
	Content []byte `json:"content"`
}

// certificateNames are the files that are looked for, in the order in which they are handed over. FAT minds no case.
func certificateNames() []string {
	return []string{
		"certificate.pem", "certificate.crt", "certificate.cer", "fullchain.pem", "chain.pem",
		"privkey.pem", "privkey.key", "certificate.key", "certificate.pfx", "certificate.p12",
	}
}

// maxCertificate bounds a certificate's file, in bytes; those of people have a few thousand.
const maxCertificate = 256 << 10

// private reports whether a file holds a private key, or may.
func (f File) private() bool {
	switch ext := filepath.Ext(f.Name); {
	case ext == ".key", ext == ".pfx", ext == ".p12", strings.HasPrefix(f.Name, "privkey"):
		return true
	}
	return bytes.Contains(f.Content, []byte("PRIVATE KEY"))
}

// digest names a file with its content.
func (f File) digest() string { return digestOf(slices.Concat([]byte(f.Name), []byte{0}, f.Content)) }

// openCertificates reads the certificates' files on the boot partition. It returns them all if one of them is new; those
// that were taken over before lose their private ones now, if the power went before that.
func (in *Intake) openCertificates() []File {
	var found []File
	for _, name := range certificateNames() {
		content, err := readCertificate(filepath.Join(in.dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			in.log.Error("a certificate's file on the boot partition cannot be read; going on without it", "file", name, "err", err)
			in.trouble = append(in.trouble, fmt.Sprintf("%s on the card cannot be read: %v. Write it anew on a computer.", name, err))
		default:
			found = append(found, File{name, content})
		}
	}
	if slices.ContainsFunc(found, func(f File) bool { return !in.taken(f.digest()) }) {
		return found
	}
	if slices.ContainsFunc(found, File.private) && in.removePrivate(found) {
		in.trouble = append(in.trouble, "The certificate's files on the card had been taken over before; they were removed and not taken again. "+
			"If that certificate is not in use any more, upload it on the page Settings, Certificate.")
	}
	return nil
}

func readCertificate(file string) ([]byte, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	b, err := readBounded(file, maxCertificate)
	if err == nil && len(b) > maxCertificate {
		err = fmt.Errorf("it has more than %d KB", maxCertificate>>10)
	}
	return b, err
}

// removePrivate removes those files that hold private keys from the card, and reports whether it could. One that somebody
// has changed meanwhile stays.
func (in *Intake) removePrivate(files []File) bool {
	files = slices.DeleteFunc(slices.Clone(files), func(f File) bool { return !f.private() })
	if len(files) == 0 {
		return true
	}
	var left []string
	err := in.unlocked(func() error {
		var failed []error
		for _, f := range files {
			if err := in.removeSame(f); err != nil {
				left, failed = append(left, f.Name), append(failed, err)
			}
		}
		return errors.Join(append(failed, durable.SyncDir(in.dir))...)
	})
	if err != nil && left == nil {
		for _, f := range files {
			left = append(left, f.Name)
		}
	}
	if err != nil {
		in.log.Error("private keys could not be removed from the boot partition: delete them by hand", "files", left, "err", err)
		in.trouble = append(in.trouble, fmt.Sprintf("The private key in %s could not be removed from the card. Delete it on a computer.", strings.Join(left, ", ")))
		return false
	}
	in.log.Info("a certificate's private files were removed from the boot partition", "files", len(files))
	return true
}

// removeSame removes a file unless it has other content by now.
func (in *Intake) removeSame(f File) error {
	path := filepath.Join(in.dir, f.Name)
	now, err := readCertificate(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(now, f.Content):
		return fmt.Errorf("%s was changed meanwhile; restart to take it over", f.Name)
	}
	return os.Remove(path)
}
