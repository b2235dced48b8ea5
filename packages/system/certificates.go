package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/keypair"
	"porthole/packages/system/authority"
	"porthole/packages/system/pairs"
)

// maxPublish bounds the body of a call that publishes a pair, in bytes: the pair, with its line ends escaped, and the words.
const maxPublish = 2 * keypair.MaxBytes

// certificate answers with the device's own certificate and all that are in service.
func (a *api) certificate(w http.ResponseWriter, _ *http.Request) {
	answer(w, struct {
		authority.Public
		Certificates []pairs.Info `json:"certificates"`
	}{a.device.Public(), a.pairs.List()})
}

func (a *api) certificateEvents(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"events": a.pairs.Journal().Events()})
}

// reason is who wants a change of a certificate, and why.
type reason struct{ Who, Why string }

func (c reason) check() error {
	if strings.TrimSpace(c.Who) == "" || strings.TrimSpace(c.Why) == "" {
		return errors.New("say who and why")
	}
	return nil
}

// publicName returns the name of the pair a call is about; false, and the call is answered, if it is none that others than
// the device may change.
func publicName(w http.ResponseWriter, r *http.Request) (string, bool) {
	name := r.PathValue("name")
	if !slices.Contains(pairs.Names(), name) || !pairs.Public(name) {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no certificate %q that could be changed", name))
		return "", false
	}
	return name, true
}

// publish puts a pair in service.
func (a *api) publish(w http.ResponseWriter, r *http.Request) {
	name, ok := publicName(w, r)
	if !ok {
		return
	}
	var in struct {
		ChainPEM string `json:"chain_pem"`
		KeyPEM   string `json:"key_pem"`
		reason
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPublish)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, `send {"chain_pem","key_pem","who","why"}`)
		return
	}
	if err := in.check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	pair, err := keypair.FromPEM([]byte(in.ChainPEM), []byte(in.KeyPEM), time.Now())
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	if pair.IsRSA() != strings.HasSuffix(name, "-rsa") {
		refuse(w, http.StatusUnprocessableEntity, fmt.Sprintf("A pair with a key of %s cannot have the name %s.", pair.Algorithm(), name))
		return
	}
	if err := a.pairs.Publish(name, pair.ChainPEM(), pair.KeyPEM()); err != nil {
		a.fail(w, err)
		return
	}
	a.log.Info("put a certificate in service", "certificate", name, "names", pair.Names(), "until", pair.Leaf().NotAfter)
	a.pairs.Journal().Add(name, sentence(in.Why)+" "+pairs.Words(pair.Leaf()), in.Who)
	w.WriteHeader(http.StatusNoContent)
}

// unpublish takes a pair out of service.
func (a *api) unpublish(w http.ResponseWriter, r *http.Request) {
	name, ok := publicName(w, r)
	if !ok {
		return
	}
	var in reason
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, `send {"who","why"}`)
		return
	}
	if err := in.check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	switch err := a.pairs.Remove(name); {
	case errors.Is(err, fs.ErrNotExist):
		refuse(w, http.StatusNotFound, "there is no such certificate")
	case err != nil:
		a.fail(w, err)
	default:
		a.log.Info("took a certificate out of service", "certificate", name)
		a.pairs.Journal().Add(name, "Removed. "+sentence(in.Why), in.Who)
		w.WriteHeader(http.StatusNoContent)
	}
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}
