package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/update"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"porthole": func() { os.Exit(run(os.Args[1:])) }})
}

// answerAsDevice answers as a device does to who asks how it is (packages/console has the tests with all of it).
func answerAsDevice(w http.ResponseWriter, r *http.Request) {
	switch session, err := r.Cookie("__Host-porthole"); {
	case r.URL.Path == "/login":
		if r.PostFormValue("user") != "admin" || r.PostFormValue("password") != "correct horse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "__Host-porthole", Value: "in", Path: "/", Secure: true, HttpOnly: true})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case r.URL.Path == "/logout":
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	case r.Header.Get("Authorization") != "Bearer porthole_goodgoodgoodgoodgoodgoodgo" && (err != nil || session.Value != "in"):
		w.WriteHeader(http.StatusUnauthorized)
		w.Write([]byte(`{"error":"Log in to go on."}`))
	case r.Method == http.MethodGet && r.URL.Path == "/api/v1/update":
		json.NewEncoder(w).Encode(map[string]any{"supported": true, "version": "v1.4.0", "board": "pi", "phase": update.Idle, "support_ends": update.SupportEnds, "history": []any{}})
	default:
		http.NotFound(w, r)
	}
}

func TestScripts(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(answerAsDevice))
	t.Cleanup(srv.Close) // the scripts run side by side, when this function has ended
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(env *testscript.Env) error {
		env.Setenv("DEVICE", at.Host)
		env.Setenv("KEPT", strings.ReplaceAll(at.Host, ":", "_")+".pem")
		env.Setenv("FINGERPRINT", certs.Fingerprint(srv.Certificate()))
		env.Setenv("HOME", env.WorkDir+"/home")
		return os.Mkdir(env.WorkDir+"/home", 0o700)
	}})
}
