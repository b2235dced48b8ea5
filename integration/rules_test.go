package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "porthole/"

// owners lists the libraries that only some folders may import: one owner per domain library (DESIGN, "Who may
// import whom"). A prefix on the left covers what lies below it.
var owners = map[string][]string{
	"github.com/bluenviron/gortsplib":  {"media/rtsp"},
	"github.com/pion/webrtc":           {"packages/signaling", "bench"},
	"github.com/pion/ice":              {"packages/signaling"},
	"github.com/pion/interceptor":      {"packages/signaling"},
	"github.com/pion/rtp":              {"packages/signaling", "media/rtsp"},
	"github.com/pion/rtcp":             {"packages/signaling", "media/rtsp"},
	"github.com/pion/sdp":              {"packages/signaling", "media/rtsp"},
	"github.com/caddyserver/certmagic": {"packages/console"},
	"modernc.org/sqlite":               {"packages/console"},
	"go.yaml.in/yaml":                  {"packages/internal/imports"},
	"github.com/alexedwards/":          {"packages/console"},
	"aead.dev/minisign":                {"packages/internal/update", "packages/updatekit", "gokrazy-instance/imager"},
	"github.com/CycloneDX/":            {"gokrazy-instance/imager"},
	"github.com/chromedp/":             {"integration", "bench", "packages/signaling", "packages/console"},
}

type goPackage struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	CgoFiles     []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestImportRules enforces who may import whom.
func TestImportRules(t *testing.T) {
	all := listPackages(t)
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	for _, p := range all {
		rel := strings.TrimPrefix(p.ImportPath, module)
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo", rel)
		}
		for _, imp := range p.Imports {
			if why := forbidden(rel, imp); why != "" {
				t.Errorf("%s imports %s: %s", rel, imp, why)
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := notOwner(rel, imp); why != "" {
				t.Errorf("a test of %s imports %s: %s", rel, imp, why)
			}
		}
	}
}

// TestImportRulesBite feeds the rules imports that must be refused, so that a rule that lets everything through is seen.
func TestImportRulesBite(t *testing.T) {
	for _, c := range [][2]string{
		{"packages/proxy", "porthole/packages/console"},
		{"packages/internal/settings", "porthole/media/rtsp"},
		{"media/rtsp", "porthole/packages/internal/settings"},
		{"media/decode", "porthole/hw/display"},
		{"hw/display", "log/slog"},
		{"hw/display", "github.com/fsnotify/fsnotify"},
		{"packages/proxy", "github.com/bluenviron/gortsplib/v5"},
		{"media/rtsp", "github.com/pion/webrtc/v4"},
		{"packages/proxy", "modernc.org/sqlite"},
		{"packages/console", "aead.dev/minisign"},
		{"packages/console", "porthole/packages/updatekit"},
		{"packages/system", "github.com/CycloneDX/cyclonedx-go"},
	} {
		if forbidden(c[0], c[1]) == "" {
			t.Errorf("%s may import %s", c[0], c[1])
		}
	}
}

func forbidden(pkg, imp string) string {
	own, ours := strings.CutPrefix(imp, module)
	top, rest, _ := strings.Cut(pkg, "/")
	process, _, _ := strings.Cut(rest, "/")
	switch {
	case top == "packages" && process == "internal":
		if ours && !strings.HasPrefix(own, "packages/internal/") {
			return "packages/internal knows no process, no media, no hardware"
		}
	case top == "packages":
		other, isPackage := strings.CutPrefix(own, "packages/")
		other, _, _ = strings.Cut(other, "/")
		if ours && isPackage && other != "internal" && other != process {
			return "processes talk over sockets"
		}
	case top == "media":
		if ours && !strings.HasPrefix(own, "media/") {
			return "media is a library: no packages, no hardware"
		}
	case top == "hw":
		first, _, _ := strings.Cut(imp, "/")
		std := !strings.Contains(first, ".") && !ours
		if imp == "log" || imp == "log/slog" || imp == "net/http" {
			return "hardware packages do not log and speak no HTTP"
		}
		if !std && imp != "golang.org/x/sys/unix" && !strings.HasPrefix(own, "hw/") {
			return "hw uses the standard library, golang.org/x/sys/unix and hw only"
		}
	}
	return notOwner(pkg, imp)
}

func notOwner(pkg, imp string) string {
	for lib, folders := range owners {
		if !strings.HasPrefix(imp, lib) {
			continue
		}
		if !slices.ContainsFunc(folders, func(f string) bool { return pkg == f || strings.HasPrefix(pkg, f+"/") }) {
			return fmt.Sprintf("belongs to %s", strings.Join(folders, ", "))
		}
	}
	return ""
}

// TestKernelFilesStayInHardware: /sys, /dev and /proc are spoken of only in hw and gokrazy-instance; processes exit and
// read flags only in main.go.
func TestKernelFilesStayInHardware(t *testing.T) {
	for _, p := range listPackages(t) {
		rel := strings.TrimPrefix(p.ImportPath, module)
		top, _, _ := strings.Cut(rel, "/")
		if top != "packages" && top != "media" {
			continue
		}
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if why := misplaced(rel, name, n); why != "" {
					t.Errorf("%s/%s:%d: %s", rel, name, fset.Position(n.Pos()).Line, why)
				}
				return true
			})
		}
	}
}

// exits are the packages that are a process's main in all but name: the frame of every process, and the decoder's child
// before it becomes ffmpeg.
var exits = []string{"packages/internal/daemon", "media/decode"}

func misplaced(rel, file string, n ast.Node) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind != token.STRING {
			return ""
		}
		s, err := strconv.Unquote(n.Value)
		if err != nil {
			return ""
		}
		for _, root := range []string{"/proc/", "/sys/", "/dev/"} {
			// What a process says of itself is no hardware.
			if strings.HasPrefix(s, root) && s != "/dev/null" && !strings.HasPrefix(s, "/proc/self/") {
				return s + " belongs in hw or gokrazy-instance/init"
			}
		}
		if strings.HasPrefix(rel, "media/") && (strings.HasPrefix(s, "/perm") || strings.HasPrefix(s, "/run/")) {
			return s + ": libraries are told where state lies"
		}
	case *ast.SelectorExpr:
		x, ok := n.X.(*ast.Ident)
		if ok && x.Name == "os" && n.Sel.Name == "Exit" && file != "main.go" && !slices.Contains(exits, rel) {
			return "only main.go exits"
		}
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			return "no init functions"
		}
	}
	return ""
}
