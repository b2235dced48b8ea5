// Package decoder_test tests what overlays/decoder builds: for the Pi by Debian's qemu-user, for the virtual machine as it is.
package decoder_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const recipe = "../../overlays/decoder/build.sh"

// target is one architecture that the decoder is built for.
type target struct {
	arch    string
	machine elf.Machine
	// emulator runs its programs elsewhere; it is in Debian's package qemu-user.
	emulator string
}

func targets() []target {
	return []target{
		{"arm64", elf.EM_AARCH64, "qemu-aarch64"},
		{"amd64", elf.EM_X86_64, "qemu-x86_64"},
	}
}

// folders holds where each architecture's decoder is, built once for all tests.
var folders sync.Map

// folder returns the folder with the decoder, its licences and the source offer.
func (g target) folder(t *testing.T) string {
	t.Helper()
	build, _ := folders.LoadOrStore(g.arch, sync.OnceValues(func() (string, error) {
		cmd := exec.Command(recipe, "--path", g.arch)
		cmd.Stderr = os.Stderr // it says what it does, for minutes
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}))
	dir, err := build.(func() (string, error))()
	if err != nil {
		t.Fatalf("build the decoder for %s: %v", g.arch, err)
	}
	return dir
}

// run runs the decoder and returns what it prints.
func (g target) run(t *testing.T, args ...string) []byte {
	t.Helper()
	args = append([]string{filepath.Join(g.folder(t), "ffmpeg"), "-hide_banner", "-nostdin", "-v", "error"}, args...)
	if g.arch != runtime.GOARCH {
		if _, err := exec.LookPath(g.emulator); err != nil {
			t.Fatalf("%s is missing: install the Debian package qemu-user", g.emulator)
		}
		args = append([]string{g.emulator}, args...)
	}
	return output(t, args)
}

// debian runs Debian's ffmpeg.
func debian(t *testing.T, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is missing: install the Debian package ffmpeg")
	}
	return output(t, append([]string{"ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y"}, args...))
}

func output(t *testing.T, args []string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

// each runs a test for both architectures.
func each(t *testing.T, test func(*testing.T, target)) {
	for _, g := range targets() {
		t.Run(g.arch, func(t *testing.T) { test(t, g) })
	}
}

// names reads one of ffmpeg's lists: a heading up to a line of dashes, then flags and a name per line.
func names(list string) []string {
	_, list, _ = strings.Cut(list, " --")
	_, list, _ = strings.Cut(list, "\n")
	var out []string
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 1 {
			out = append(out, f[1])
		}
	}
	slices.Sort(out)
	return out
}

// TestContents: what is compiled in is what Porthole plays and what it needs to play it, and no more. Whatever else the
// program could read would be read from strangers.
func TestContents(t *testing.T) {
	each(t, func(t *testing.T, g target) {
		for list, want := range map[string][]string{
			"-decoders": {"aac", "aac_latm", "h263", "h264", "hevc", "mjpeg", "mp2", "mp2float", "mp3", "mp3float", "mpeg4", "opus",
				"pcm_alaw", "pcm_mulaw", "pcm_s16be", "pcm_s16le", "rawvideo", "vp8", "vp9"},
			"-encoders": {"libopus", "libvpx", "pcm_s16le", "rawvideo", "shared", "wrapped_avframe"},
			"-demuxers": {"aac", "avi", "h264", "hevc", "m4v", "matroska,webm", "mjpeg", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "mpegts",
				"nut", "ogg", "wav"},
			"-muxers": {"framecrc", "ivf", "null", "nut", "ogg", "rawvideo", "yuv4mpegpipe"},
		} {
			if diff := cmp.Diff(want, names(string(g.run(t, list)))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", list, diff)
			}
		}
		protocols := strings.Fields(string(g.run(t, "-protocols")))
		if want := strings.Fields("Supported file protocols: Input: file pipe Output: file pipe"); !slices.Equal(protocols, want) {
			t.Errorf("it speaks %q", protocols)
		}
	})
}

// TestLicence: the program and its configuration are LGPL, and the licences and the offer of the source lie beside it.
func TestLicence(t *testing.T) {
	each(t, func(t *testing.T, g target) {
		if text := strings.Join(strings.Fields(string(g.run(t, "-L"))), " "); !strings.Contains(text, "GNU Lesser General Public License") ||
			!strings.Contains(text, "version 2.1 of the License, or (at your option) any later version") {
			t.Errorf("its licence is: %s", text)
		}
		config := string(g.run(t, "-buildconf"))
		if !strings.Contains(config, "--enable-libvpx") {
			t.Errorf("it does not tell how it was built: %q", config)
		}
		for _, flag := range []string{"gpl", "nonfree", "version3", "network"} {
			if strings.Contains(config, "--enable-"+flag) {
				t.Errorf("built with --enable-%s", flag)
			}
		}
		dir := g.folder(t)
		for name, want := range map[string]string{
			"LICENSES/ffmpeg-LGPL-2.1.txt": "GNU LESSER GENERAL PUBLIC LICENSE",
			"LICENSES/ffmpeg-LICENSE.md":   "LGPL",
			"LICENSES/libvpx-LICENSE.txt":  "The WebM Project authors",
			"LICENSES/libvpx-PATENTS.txt":  "Additional IP Rights Grant",
			"LICENSES/opus-COPYING.txt":    "Xiph.Org",
			"LICENSES/glibc-copyright.txt": "GNU C Library",
			"SOURCE-OFFER.txt":             "complete corresponding source",
		} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s does not speak of %q (%v)", name, want, err)
			}
		}
		checkOffer(t, dir, config)
	})
}

// checkOffer: the offer names every source the program was built from, with its hash, and how it was configured.
func checkOffer(t *testing.T, dir, config string) {
	t.Helper()
	offer, err := os.ReadFile(filepath.Join(dir, "SOURCE-OFFER.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile("../../overlays/decoder/sources.lock")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for line := range strings.Lines(string(lock)) {
		if f := strings.Fields(line); len(f) == 2 && len(f[0]) == 64 {
			files++
			if !strings.Contains(string(offer), strings.TrimSpace(line)) {
				t.Errorf("the offer does not name %s", f[1])
			}
		}
	}
	if files < 10 {
		t.Errorf("sources.lock names %d files only", files)
	}
	for line := range strings.Lines(config) {
		flag, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(flag, "--") && !strings.Contains(strings.ReplaceAll(string(offer), "'", ""), strings.ReplaceAll(flag, "'", "")) {
			t.Errorf("the offer does not say that it was built with %s", flag)
		}
	}
}

// TestProgram: one file that needs nothing else, and that is hard to take over.
func TestProgram(t *testing.T) {
	each(t, func(t *testing.T, g target) {
		path := filepath.Join(g.folder(t), "ffmpeg")
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != g.machine || f.Class != elf.ELFCLASS64 {
			t.Errorf("it is for %v, %v", f.Machine, f.Class)
		}
		if f.Type != elf.ET_DYN {
			t.Errorf("it is %v: its load address is not random", f.Type)
		}
		if libs, err := f.ImportedLibraries(); err != nil || len(libs) != 0 {
			t.Errorf("it loads %q (%v)", libs, err)
		}
		relro := false
		for _, p := range f.Progs {
			switch {
			case p.Type == elf.PT_INTERP:
				t.Error("it needs a dynamic linker")
			case p.Type == elf.PT_GNU_STACK && p.Flags&elf.PF_X != 0:
				t.Error("its stack can be executed")
			case p.Type == elf.PT_LOAD && p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X:
				t.Error("memory that it can write can be executed")
			}
			relro = relro || p.Type == elf.PT_GNU_RELRO
		}
		if !relro {
			t.Error("its relocations stay writable")
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if most := int64(12 << 20); info.Size() > most {
			t.Errorf("it has %d bytes, more than %d", info.Size(), most)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(home+"/")) {
			t.Errorf("it tells of %s", home)
		}
	})
}
