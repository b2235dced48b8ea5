package vm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// digiServer is a small server as screens of the field know them (documents 001, 002 and 004), with a certificate that nobody vouches for.
type digiServer struct {
	*httptest.Server

	mu       sync.Mutex // guards what follows
	cert     tls.Certificate
	version  int
	files    map[string][]byte
	order    []string
	feedback []string
	strange  []string // what it was asked and does not know
}

const (
	quickCode = "ABCD-1234"
	authCode  = "a-code-of-the-test"
)

func newDigiServer(t *testing.T) *digiServer {
	t.Helper()
	s := &digiServer{cert: selfSigned(t), version: 1, files: map[string][]byte{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth/player", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Hostname, Quickconnect_Code string } //nolint:revive // the contract's name
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Hostname != "tv-vm" || in.Quickconnect_Code != quickCode {
			http.Error(w, `{"error":"Invalid credentials"}`, http.StatusUnauthorized)
			return
		}
		reply(w, map[string]any{"success": true, "player_id": 7, "player_name": "TV", "hostname": "tv-vm", "auth_code": authCode, "playlist_id": 3, "orientation": "Landscape"})
	})
	mux.HandleFunc("POST /api/auth/verify", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]any{"valid": true, "player_id": 7, "player_name": "TV", "playlist_id": 3, "orientation": "Landscape"})
	})
	mux.HandleFunc("GET /api/playlists/{id}", s.playlist)
	mux.HandleFunc("GET /api/playlists", s.playlist)
	mux.HandleFunc("POST /api/player-feedback", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Status, Message string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		s.mu.Lock()
		s.feedback = append(s.feedback, in.Status)
		s.mu.Unlock()
		reply(w, map[string]any{"success": true})
	})
	mux.HandleFunc("GET /media/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		b, ok := s.files[r.PathValue("name")]
		s.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(b)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.strange = append(s.strange, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		http.NotFound(w, r)
	})
	s.Server = httptest.NewUnstartedServer(mux)
	// Not GetCertificate: a client that asks for an address names no server, and would get httptest's own.
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return &tls.Config{Certificates: []tls.Certificate{s.cert}}, nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// playlist answers as an original server does: neither hashes nor sizes.
func (s *digiServer) playlist(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+authCode && r.URL.Query().Get("quickconnect_code") != quickCode {
		http.Error(w, `{"error":"Unauthorized"}`, http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []map[string]any{}
	for i, name := range s.order {
		items = append(items, map[string]any{"id": i + 1, "file_name": name, "type": "image", "duration": 3, "position": i + 1, "url": "/media/" + name})
	}
	reply(w, map[string]any{"player_id": 7, "playlist_id": 3, "playlist_version": s.version, "playlist": items, "count": len(items)})
}

// show makes another playlist of pictures.
func (s *digiServer) show(t *testing.T, codes ...code) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = nil
	for _, c := range codes {
		name := string(c) + ".png"
		s.files[name] = c.png(t, 640, 400)
		s.order = append(s.order, name)
	}
	s.version++
}

// swap lets it answer with another certificate, also on what is open, and returns that one's fingerprint.
func (s *digiServer) swap(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	s.cert = selfSigned(t)
	sum := sha256.Sum256(s.cert.Certificate[0])
	s.mu.Unlock()
	s.CloseClientConnections()
	return hex.EncodeToString(sum[:])
}

// selfSigned is a certificate as such servers have it.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "digiserver"}, DNSNames: []string{"digiserver.local"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestLongPlayerOtherServer: a screen follows a server of the field whose certificate it pins. When another certificate is there it stops
// asking and plays on, also over a power cut, until somebody approves that.
func TestLongPlayerOtherServer(t *testing.T) {
	t.Parallel()
	server := newDigiServer(t)
	server.show(t, "RGBY", "CMRG")
	s := &showing{switching: true, items: []string{"RGBY", "CMRG"}, disk: newDisk(t, theVMImage(t), 8<<30, fmt.Sprintf(
		"[player]\nserver = %q\nhostname = \"tv-vm\"\nquickconnect_code = %q\nretry_delay = 2\n", throughSLIRP(server.URL), quickCode))}
	s.boot(t)
	s.watch(t, "the other server's pictures", 0, s.items...)
	server.show(t, "BRYG", "YBGR")
	s.items = append(s.items, "BRYG", "YBGR")
	s.watch(t, "its next ones", 0, "BRYG", "YBGR")
	s.items = []string{"BRYG", "YBGR"}

	fingerprint := server.swap(t)
	server.show(t, "GKMC", "MCGR")
	plain := func(f string) string { return strings.ToLower(strings.ReplaceAll(f, ":", "")) }
	stopped := func(ctx context.Context) error {
		st, err := s.state(ctx)
		if err == nil && plain(st.Link.Pending) != fingerprint {
			err = fmt.Errorf("it says %+v", st.Link)
		}
		return err
	}
	eventually(t, "see the other certificate refused", stopped)
	s.watch(t, "the same pictures with another certificate", 0, s.items...)
	s.m.Kill()
	s.boot(t)
	s.watch(t, "the same pictures after a power cut", 0, s.items...)
	eventually(t, "see the other certificate refused again", stopped)

	if err := s.m.Agent().Tell(t.Context(), playerSocket, http.MethodPost, "/trust/approve", map[string]string{"fingerprint": fingerprint}); err != nil {
		t.Fatal(err)
	}
	s.items = append(s.items, "GKMC", "MCGR")
	s.watch(t, "the server's pictures after it was approved", 0, "GKMC", "MCGR")
	server.mu.Lock()
	defer server.mu.Unlock()
	if !slices.Contains(server.feedback, "playing") {
		t.Errorf("the server was told %q", server.feedback)
	}
	if len(server.strange) > 0 {
		t.Logf("what a server of the field does not know: %q", server.strange)
	}
	if err := s.noCode(t.Context()); err != nil {
		t.Error(err)
	}
}

// noCode looks for the quick-connect code in what the device's programs say.
func (s *showing) noCode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askOnce)
	defer cancel()
	if strings.Contains(s.m.Serial(), quickCode) {
		return errors.New("the quick-connect code is on the serial console")
	}
	var all json.RawMessage
	if err := s.m.Agent().Ask(ctx, playerSocket, "/status", &all); err != nil {
		return err
	}
	if strings.Contains(string(all), quickCode) || strings.Contains(string(all), authCode) {
		return errors.New("player's status has a credential")
	}
	return nil
}
