package diskimage_test

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"porthole/gokrazy-instance/imager/diskimage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPiConfig(t *testing.T) {
	got, err := diskimage.PiConfig("# why\n\nos_prefix=SLOT/\n  arm_64bit=1  \n# more\n[pi02]\ndtparam=cma-128\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "os_prefix=SLOT/\narm_64bit=1\n[pi02]\ndtparam=cma-128\n"; string(got) != want {
		t.Errorf("config.txt is %q", got)
	}
	for text, want := range map[string]string{
		"arm_64bit=1\nos_prefix=SLOT/\n":   "first line",
		"os_prefix=slot-a/\narm_64bit=1\n": "first line",
		"":                                 "first line",
		"os_prefix=SLOT/\n" + strings.Repeat("x", 99) + "\n":            "98 characters",
		"os_prefix=SLOT/\n" + strings.Repeat("dtparam=abcdefghi\n", 30): "one sector",
		"os_prefix=SLOT/\ninclude more.txt\n":                           "include",
	} {
		if _, err := diskimage.PiConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q gives %v, want %q", text, err, want)
		}
	}
}

func TestInstance(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pi", "config.json"), `{"Hostname":"porthole","KernelPackage":"example.org/pi",
		"Packages":["porthole/packages/system","porthole/packages/proxy"],"GokrazyPackages":["example.org/cmd/ntp"],
		"PackageConfig":{"porthole/packages/proxy":{"CommandLineFlags":["-http",""],"Environment":["A=b"],"DontStart":true}}}`)
	write(t, filepath.Join(dir, "vm", "config.json"), `{"KernelPackage":"example.org/vm"}`)
	want := []diskimage.Process{
		{Path: "/gokrazy/ntp"},
		{Path: "/user/system"},
		{Path: "/user/proxy", Args: []string{"-http", ""}, Env: []string{"A=b"}, Stopped: true},
	}
	for board, kernel := range map[string]string{"pi": "example.org/pi", "vm": "example.org/vm"} {
		list, config, err := diskimage.Instance(dir, board, "v1")
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(list, want) {
			t.Errorf("%s runs other processes:\n%s", board, cmp.Diff(want, list))
		}
		if config["KernelPackage"] != kernel || config["Hostname"] != "porthole" || config["EEPROMPackage"] != "" {
			t.Errorf("%s: %v", board, config)
		}
		flags := config["PackageConfig"].(map[string]any)["porthole/packages/system"].(map[string]any)["GoBuildFlags"].([]any)[0].(string)
		if !strings.Contains(flags, "porthole/packages/internal/daemon.version=v1") {
			t.Errorf("%s: system is built with %s", board, flags)
		}
		if update := config["Update"].(map[string]any); update["NoPassword"] != true || update["UseTLS"] != "off" {
			t.Errorf("%s has a password or a certificate: %v", board, update)
		}
	}
	for text, want := range map[string]string{
		`{"Packages":["porthole/packages/other"]}`: "one list of processes",
		`{"PackageConfig":{}}`:                     "one list of processes",
		`[`:                                        "read instance",
	} {
		write(t, filepath.Join(dir, "vm", "config.json"), text)
		if _, _, err := diskimage.Instance(dir, "vm", "v1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", text, err, want)
		}
	}
	write(t, filepath.Join(dir, "pi", "config.json"), `{"Hostname":"porthole"}`)
	if _, _, err := diskimage.Instance(dir, "pi", "v1"); err == nil || !strings.Contains(err.Error(), "names no packages") {
		t.Errorf("an instance without packages gives %v", err)
	}
}

// TestTree: modes and order do not depend on who checked the files out.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b", "file"), "text")
	write(t, filepath.Join(dir, "a"), "#!")
	if err := os.Chmod(filepath.Join(dir, "a"), 0o710); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/perm/var", filepath.Join(dir, "var")); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000, 0)
	stream, err := diskimage.TarOf(dir, at)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(bytes.NewReader(stream)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(at) {
			t.Errorf("%s: %+v", h.Name, h)
		}
		got = append(got, h.Name+" "+h.FileInfo().Mode().String()+" "+h.Linkname)
	}
	want := []string{"a -r-xr-xr-x ", "b/ drwxr-xr-x ", "b/file -r--r--r-- ", "var Lrwxrwxrwx /perm/var"}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
}

// TestMBR reads the table as a Pi's boot ROM and the kernel do.
func TestMBR(t *testing.T) {
	for _, b := range diskimage.Boards() {
		s := diskimage.MBROf(b)
		if len(s) != 512 || s[510] != 0x55 || s[511] != 0xaa {
			t.Fatalf("%s: no partition table: %x", b.Name, s)
		}
		if id := binary.LittleEndian.Uint32(s[440:]); id != b.DiskID || s[444] != 0 || s[445] != 0 {
			t.Errorf("%s: signature %x", b.Name, id)
		}
		end := uint32(4 << 20 / 512)
		for i, want := range []struct {
			kind byte
			size uint32
		}{{map[string]byte{"pi": 0x0c, "vm": 0xef}[b.Name], 256}, {0x83, 256}, {0x83, 256}, {0x83, 64}} {
			e := s[446+16*i:]
			start, size := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
			if e[4] != want.kind || size != want.size<<20/512 || start != end || (e[0] == 0x80) != (i == 0) {
				t.Errorf("%s: partition %d is %x", b.Name, i+1, e[:16])
			}
			end = start + size
		}
	}
	if _, err := diskimage.BoardByName("toaster"); err == nil || !strings.Contains(err.Error(), "pi and vm") {
		t.Errorf("an unknown board gives %v", err)
	}
}

// TestCABundle: the bundle holds certificates of authorities and nothing else.
func TestCABundle(t *testing.T) {
	rest, err := diskimage.CABundle()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !c.IsCA {
			t.Errorf("certificate %d is no authority's: %v", n, err)
		}
		n++
	}
	if n < 50 || len(bytes.TrimSpace(rest)) != 0 {
		t.Errorf("%d certificates, then %q", n, rest)
	}
}

func TestCompress(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "a.img")
	data := append(bytes.Repeat([]byte{0}, 3<<20), "porthole"...)
	write(t, image, string(data))
	var packed [2][]byte
	for i := range packed {
		if err := diskimage.Compress(t.Context(), image, image+".zst"); err != nil {
			t.Fatal(err)
		}
		var err error
		if packed[i], err = os.ReadFile(image + ".zst"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("compressing twice gives different bytes")
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := d.DecodeAll(packed[0], nil); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what comes out is not what went in: %v", err)
	}
}

func TestEscapeModule(t *testing.T) {
	if got := diskimage.EscapeModule("github.com/BurntSushi/toml@v1.6.0"); got != "github.com/!burnt!sushi/toml@v1.6.0" {
		t.Errorf("got %s", got)
	}
}

// TestToolMissing names the package that has the tool.
func TestToolMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := diskimage.LookPath("dpkg-deb"); err == nil || !strings.Contains(err.Error(), "install the Debian package dpkg") {
		t.Errorf("a missing tool gives %v", err)
	}
}
