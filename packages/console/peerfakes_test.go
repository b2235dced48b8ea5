package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/keypair"
)

// system stands where the root process does and speaks the JSON of docs/architecture.md.
type system struct {
	mu        sync.Mutex
	provision any      // nil: there is no porthole.toml
	taken     []string // digests console said it has
	// kept are those whose certificate's files were to stay on the card.
	kept      []string
	restarted []string
	states    map[string]string
	notAfter  time.Time
	ca, chain string
	problems  []map[string]string
	resets    []string // who wanted a factory reset
	broken    bool     // it cannot write anything down
	// published are the pairs that console put into service, by name; changes what it said of each change.
	published map[string]servedPair
	changes   []string
	// refuses is what system says of every pair, if not empty.
	refuses string
}

// servedPair is an entry of GET /certificate.
type servedPair struct {
	Name      string    `json:"name"`
	Algorithm string    `json:"algorithm"`
	ChainPEM  string    `json:"chain_pem"`
	SHA256    string    `json:"sha256"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Issuer    string    `json:"issuer"`
	Public    bool      `json:"public"`
}

// pairs are all in service, the device's own first.
func (s *system) pairs() []servedPair {
	all := []servedPair{{Name: "device", Algorithm: "ECDSA P-256", ChainPEM: s.chain, Names: []string{"porthole", "porthole.local", "192.168.1.5"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: s.notAfter, Issuer: "Porthole CA"}}
	for _, name := range slices.Sorted(maps.Keys(s.published)) {
		all = append(all, s.published[name])
	}
	return all
}

// put takes a pair as system does: in its own form only.
func (s *system) put(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Chain string `json:"chain_pem"`
		Key   string `json:"key_pem"`
		Who   string
		Why   string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p, err := keypair.FromPEM([]byte(in.Chain), []byte(in.Key), time.Now())
	if err == nil && s.refuses != "" {
		err = errors.New(s.refuses)
	}
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	name := r.PathValue("name")
	if s.published == nil {
		s.published = map[string]servedPair{}
	}
	s.published[name] = servedPair{Name: name, Algorithm: p.Algorithm(), ChainPEM: in.Chain, SHA256: certs.Fingerprint(p.Leaf()), Names: p.Names(),
		NotBefore: p.Leaf().NotBefore, NotAfter: p.Leaf().NotAfter, Issuer: certs.Issuer(p.Leaf()), Public: true}
	s.changes = append(s.changes, "put "+name+" by "+in.Who+": "+in.Why)
	w.WriteHeader(http.StatusNoContent)
}

// drop takes a pair out of service.
func (s *system) drop(w http.ResponseWriter, r *http.Request) {
	var in struct{ Who, Why string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := r.PathValue("name")
	if _, ok := s.published[name]; !ok {
		http.NotFound(w, r)
		return
	}
	delete(s.published, name)
	s.changes = append(s.changes, "drop "+name+" by "+in.Who+": "+in.Why)
	w.WriteHeader(http.StatusNoContent)
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{
		states:   map[string]string{"system": "running", "proxy": "running", "signaling": "running", "console": "running"},
		notAfter: time.Now().Add(824 * 24 * time.Hour),
	}
	s.ca, s.chain = certificates(t, s.notAfter)
	return s
}

func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /provision", func(w http.ResponseWriter, r *http.Request) {
		if s.provision == nil {
			http.Error(w, `{"error":"there is no porthole.toml"}`, http.StatusNotFound)
			return
		}
		jsonHandler(s.provision)(w, r)
	})
	mux.HandleFunc("POST /provision/taken", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Digest    string
			KeepFiles bool `json:"keep_files"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if in.KeepFiles {
			s.kept = append(s.kept, in.Digest)
		}
		s.taken = append(s.taken, in.Digest)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /processes", func(w http.ResponseWriter, r *http.Request) {
		list := []map[string]any{}
		for _, name := range []string{"system", "proxy", "signaling", "console"} {
			p := map[string]any{"name": name, "state": s.states[name], "pid": 17, "started": time.Now().Add(-3 * time.Hour), "rss_bytes": 34 << 20, "restarts": 0, "exit": ""}
			if s.states[name] != "running" {
				p["exit"] = "exit status 1"
				p["restarts"] = 4
			}
			list = append(list, p)
		}
		jsonHandler(list)(w, r)
	})
	mux.HandleFunc("GET /processes/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		if s.states[r.PathValue("name")] == "" {
			http.NotFound(w, r)
			return
		}
		jsonHandler(map[string]any{"lines": []map[string]string{
			{"stream": "stderr", "text": "first line"}, {"stream": "stdout", "text": "\x1b[31m<b>last</b>\x1b[0m line"},
		}})(w, r)
	})
	mux.HandleFunc("POST /processes/{name}/restart", func(w http.ResponseWriter, r *http.Request) {
		if s.states[r.PathValue("name")] == "" {
			http.NotFound(w, r)
			return
		}
		s.restarted = append(s.restarted, r.PathValue("name"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /factory-reset", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Who string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || s.broken {
			http.Error(w, `{"error":"no space left on device"}`, http.StatusBadGateway)
			return
		}
		s.resets = append(s.resets, in.Who)
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /problems", jsonHandler(map[string]any{"problems": s.problems}))
	mux.HandleFunc("GET /certificate", jsonHandler(map[string]any{
		"ca_pem": s.ca, "chain_pem": s.chain, "ca_sha256": "", "leaf_sha256": "",
		"names": []string{"porthole", "porthole.local", "192.168.1.5"}, "not_before": time.Now(), "not_after": s.notAfter,
		"certificates": s.pairs(),
	}))
	mux.HandleFunc("PUT /certificates/{name}", s.put)
	mux.HandleFunc("DELETE /certificates/{name}", s.drop)
	mux.ServeHTTP(w, r)
}

func (s *system) offer(digest string, file, problems any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.provision = map[string]any{"digest": digest, "provision": file, "problems": problems}
}

// offerFiles has a certificate's files lie on the card, with what porthole.toml says.
func (s *system) offerFiles(digest string, file any, files map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	type one struct {
		Name    string `json:"name"`
		Content []byte `json:"content"`
	}
	var list []one
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, one{name, files[name]})
	}
	s.provision = map[string]any{"digest": digest, "provision": file, "problems": []string{}, "files": list}
}

// said returns how certificates changed.
func (s *system) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.changes)
}

func (s *system) tookAll() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.taken...)
}

func (s *system) set(process, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[process] = state
}

// certificates are an authority and a leaf, as system makes them.
func certificates(t *testing.T, notAfter time.Time) (ca, chain string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Porthole CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter.Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "porthole"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter, DNSNames: []string{"porthole"}}
	encode := func(c *x509.Certificate) string {
		der, err := x509.CreateCertificate(rand.Reader, c, root, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	ca = encode(root)
	return ca, encode(leaf) + ca
}

// cameraState is proxy's answer about one camera.
func cameraState(id, state, problem string) map[string]any {
	return map[string]any{
		"id": id, "state": state, "since": time.Now().Add(-time.Minute), "error": problem, "readers": 2,
		"tracks":   []map[string]string{{"kind": "video", "codec": "H264", "detail": "1280×720"}, {"kind": "audio", "codec": "AAC"}},
		"bytes_in": 1, "bytes_out": 2, "reconnects": 0,
	}
}

func proxyWith(cameras ...map[string]any) http.Handler {
	return jsonHandler(map[string]any{"cameras": cameras, "https": map[string]int{"connections": 3}, "refused": map[string]int{}})
}
