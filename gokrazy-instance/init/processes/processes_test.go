package processes_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/gokrazy-instance/init/processes"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "processes.json")
	text := `[{"path":"/gokrazy/ntp"},{"path":"/user/proxy","args":["-http",""],"env":["A=b"],"stopped":true,"wait_for_clock":true}]`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := processes.Read(path)
	want := []processes.Process{
		{Path: "/gokrazy/ntp"},
		{Path: "/user/proxy", Args: []string{"-http", ""}, Env: []string{"A=b"}, Stopped: true, WaitForClock: true},
	}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	if n := len(processes.Services(got)); n != 2 {
		t.Errorf("%d services", n)
	}
	for text, want := range map[string]string{
		`[]`:                      "is empty",
		`[{"path":"user/proxy"}]`: "not an absolute path",
		`{`:                       "unexpected end",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := processes.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", text, err, want)
		}
	}
}

func TestMakeRunDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "porthole")
	owners := map[string]string{}
	list := []processes.Process{{Path: "/gokrazy/ntp"}, {Path: "/user/system"}, {Path: "/user/console"}}
	for range 2 { // again over what is there, as after a restart of init alone
		if err := processes.MakeRunDir(dir, list, func(path string, uid, gid int) error {
			owners[filepath.Base(path)] = fmt.Sprintf("%d:%d", uid, gid)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]string{"porthole": "0:0", "system": "0:0", "console": "2004:2004"}; !cmp.Equal(owners, want) {
		t.Errorf("owners: %s", cmp.Diff(want, owners))
	}
	for name, want := range map[string]fs.FileMode{".": 0o755, "system": 0o711, "console": 0o711} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v: %v", name, info.Mode().Perm(), want, err)
		}
	}
}

// TestUsersMatch compares the user ids with those the processes have.
func TestUsersMatch(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", "packages", "internal", "unixsock", "unixsock.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	consts, want := map[string]int{}, map[string]int{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		switch v := spec.Values[0].(type) {
		case *ast.BasicLit:
			if id, err := strconv.Atoi(v.Value); err == nil {
				consts[spec.Names[0].Name] = id
			}
		case *ast.CompositeLit:
			if spec.Names[0].Name != "uids" {
				return true
			}
			for _, e := range v.Elts {
				kv := e.(*ast.KeyValueExpr)
				name, err := strconv.Unquote(kv.Key.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				want[name] = consts[kv.Value.(*ast.Ident).Name]
			}
		}
		return true
	})
	if len(want) < 5 || want["console"] != 2004 {
		t.Fatalf("unixsock's list was not understood: %v", want)
	}
	if consts["GIDVideo"] != processes.VideoGroup {
		t.Errorf("the group of screens is %d there", consts["GIDVideo"])
	}
	if got := processes.Users(); !cmp.Equal(got, want) {
		t.Errorf("the user ids differ from packages/internal/unixsock:\n%s", cmp.Diff(want, got))
	}
}
