package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"porthole/packages/internal/imports"
)

// runImport is porthole import.
func runImport(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("porthole import", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	out := fs.String("o", "", "`file` to write; without it the porthole.toml goes to standard output and the report to standard error")
	check := fs.Bool("check", false, "only say what would be taken over")
	force := fs.Bool("force", false, "replace the file if it is there")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() == 0 {
		fs.Usage()
		return 2
	}
	result, err := readFiles(fs.Args())
	if err != nil {
		fmt.Fprintf(stderr, "porthole import: %v\n", err)
		return 1
	}
	report := stdout
	if *out == "" && !*check {
		report = stderr
	}
	if err := result.Report(report); err != nil {
		fmt.Fprintf(stderr, "porthole import: write the report: %v\n", err)
		return 1
	}
	switch {
	case result.Empty():
		fmt.Fprintln(stderr, "porthole import: nothing was found to take over; name SmartHomeNG's etc/plugin.yaml and the files of items with cameras, the .env or docker-compose.yml of the camera platform, or the app_config.json of a signage player")
		return 1
	case *check:
		return 0
	case *out == "":
		_, err = stdout.Write(result.TOML())
	default:
		err = writeNew(*out, result.TOML(), *force)
	}
	if err != nil {
		fmt.Fprintf(stderr, "porthole import: %v\n", err)
		return 1
	}
	return 0
}

func readFiles(names []string) (imports.Result, error) {
	var files []imports.File
	for _, name := range names {
		b, err := readBounded(name)
		if err != nil {
			return imports.Result{}, fmt.Errorf("read %s: %w", name, err)
		}
		files = append(files, imports.File{Name: name, Content: b})
		if cert, ok := certificate(name, b); ok && !slices.Contains(names, cert.Name) {
			files = append(files, cert)
		}
	}
	return imports.Read(files...), nil
}

// certificate reads the file that a player's settings name as certificate_path, if it is here: ~ is the home folder of
// whoever calls this, and what is relative lies beside the settings.
func certificate(name string, config []byte) (imports.File, bool) {
	path := imports.CertificatePath(config)
	if path == "" {
		return imports.File{}, false
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return imports.File{}, false
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(name), path)
	}
	b, err := readBounded(path)
	// What is wrong with it, the report says: that it is not here, too.
	return imports.File{Name: path, Content: b}, err == nil
}

// readBounded reads one byte more than imports takes, so that it says that the file is too large.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, imports.MaxSize+1))
}

// readSome reads a file of at most that many bytes.
func readSome(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes, which is too many for what it should be", name, most)
	}
	return b, nil
}

// writeNew writes a file with passwords in it, for its owner alone.
func writeNew(name string, b []byte, replace bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if replace {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, mode, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: choose another name, or replace it with -force", name)
	}
	if err != nil {
		return fmt.Errorf("write %w", err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
