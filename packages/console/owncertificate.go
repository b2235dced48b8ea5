package main

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/keypair"
)

const ownCertificatePath = "/settings/certificate/own"

// An own certificate is in service under the name of its key's kind, so that one of each kind may be.
const (
	ownECDSA = "own"
	ownRSA   = "own-rsa"
)

// maxCertificateForm bounds the form in bytes: the files and a pasted text, with what the form adds.
const maxCertificateForm = keypair.MaxBytes + 64<<10

// ownCertificateView is the page on which a person puts a certificate of their own into service.
type ownCertificateView struct {
	Served []ownServed
	// Problem says why it is not known what is in service, or is empty.
	Problem string
	// Error says why what was sent is not taken, PasswordError that the password is to blame. Text is as pasted, unless it holds
	// a key, which is not repeated.
	Error, PasswordError, Text string
	MaxKB                      int
}

// ownServed is an own certificate in service.
type ownServed struct {
	Name     string
	Facts    []fact
	Warnings []string
	Expired  bool
}

func (c *console) ownCertificatePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showOwnCertificate(w, r, http.StatusOK, id, ownCertificateView{})
}

func (c *console) showOwnCertificate(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v ownCertificateView) {
	v.MaxKB = keypair.MaxBytes >> 10
	s, err := c.backends.certificate.answer(r.Context())
	if err != nil {
		v.Problem = "system does not answer, so it is not known what is in service. Look again in a moment."
	}
	for _, p := range s.Certificates {
		if p.Name == ownECDSA || p.Name == ownRSA {
			v.Served = append(v.Served, c.ownServed(r.Context(), p))
		}
	}
	c.render(w, r, status, "owncertificate", page{Title: "Own certificate", User: id, Body: v})
}

func (c *console) ownServed(ctx context.Context, p servedPair) ownServed {
	v := ownServed{Name: p.Name, Expired: time.Now().After(p.NotAfter), Facts: []fact{
		{"Names", strings.Join(p.Names, ", ")},
		{"Issued by", orDash(p.Issuer)},
		{"Valid until", p.NotAfter.UTC().Format("2 January 2006, 15:04 UTC")},
		{"Key", p.Algorithm},
		{"SHA-256 fingerprint", printable(p.SHA256)},
	}}
	if chain := p.chain(); chain != nil {
		// Without its root, a warning says too much, not too little.
		root, err := c.keptRoot(ctx, p.Name)
		if err != nil {
			c.log.Warn("the root of a certificate cannot be read", "certificate", p.Name, "err", err)
		}
		v.Warnings = keypair.Pair{Chain: chain, Root: root}.Warnings(time.Now())
	}
	return v
}

// takeOwnCertificate reads what a person sends and puts it into service.
func (c *console) takeOwnCertificate(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	blobs, text, password, err := readCertificateForm(w, r)
	if err != nil {
		c.refuseOwn(w, r, id, "", err)
		return
	}
	if len(blobs) == 0 {
		c.refuseOwn(w, r, id, "", &keypair.Refusal{Reason: "Nothing came. Choose the files of the certificate and its key, or paste them."})
		return
	}
	p, err := keypair.Parse(password, time.Now(), blobs...)
	if err == nil {
		err = c.publish(r.Context(), ownName(p), p, id.User, "uploaded on the settings page")
	}
	if err != nil {
		c.refuseOwn(w, r, id, text, err)
		return
	}
	said := "The certificate for " + strings.Join(p.Names(), ", ") + " is in service now, without a restart."
	if warnings := p.Warnings(time.Now()); len(warnings) > 0 {
		said += " Look at what is said about it below."
	}
	c.back(w, r, ownCertificatePath, said)
}

// ownName is the name that an own pair is served under.
func ownName(p keypair.Pair) string {
	if p.IsRSA() {
		return ownRSA
	}
	return ownECDSA
}

// refuseOwn shows the form again with what is wrong; anything else than a refusal is system's trouble or ours.
func (c *console) refuseOwn(w http.ResponseWriter, r *http.Request, id identity.Identity, text string, err error) {
	v := ownCertificateView{}
	if !strings.Contains(text, "PRIVATE KEY") {
		v.Text = text
	}
	if refusal, ok := errors.AsType[*keypair.Refusal](err); ok {
		v.Error = refusal.Reason
		if refusal.AboutPassword() {
			v.Error, v.PasswordError = "Nothing was changed: the password does not fit.", refusal.Reason
		}
		c.showOwnCertificate(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	c.log.Error("own certificate not put into service", "err", err)
	v.Error = "system did not take it, so nothing was changed. Try again in a moment; if it stays, system's log says why."
	c.showOwnCertificate(w, r, http.StatusServiceUnavailable, id, v)
}

// readCertificateForm returns the files and the text of a form, which stay in memory: a key is not left in a temporary file.
func readCertificateForm(w http.ResponseWriter, r *http.Request) (blobs [][]byte, text, password string, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxCertificateForm)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, "", "", &keypair.Refusal{Reason: "The form did not arrive whole. Choose the files again and send it once more."}
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		var b []byte
		if err == nil {
			b, err = readPart(part)
		}
		if err != nil {
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				return nil, "", "", &keypair.Refusal{Reason: "It is too large to be a certificate. Send only the certificate, its chain and the key."}
			}
			return nil, "", "", &keypair.Refusal{Reason: "The form did not arrive whole. Choose the files again and send it once more."}
		}
		switch part.FormName() {
		case "file":
			if len(b) > 0 {
				blobs = append(blobs, b)
			}
		case "text":
			text = string(b)
		case "password":
			password = string(b)
		}
	}
	if strings.TrimSpace(text) != "" {
		blobs = append(blobs, []byte(text))
	}
	return blobs, text, password, nil
}

func readPart(part *multipart.Part) ([]byte, error) {
	defer part.Close()
	return io.ReadAll(part)
}

// ownInService returns the pair that the path names; false when it was answered that there is none.
func (c *console) ownInService(w http.ResponseWriter, r *http.Request) (servedPair, bool) {
	s, err := c.backends.certificate.answer(r.Context())
	if err != nil {
		c.sorry(w, r, http.StatusServiceUnavailable, "Not ready", "system does not answer, so it is not known what is in service. Try again in a moment.")
		return servedPair{}, false
	}
	name := r.PathValue("name")
	for _, p := range s.Certificates {
		if p.Name == name && (name == ownECDSA || name == ownRSA) {
			return p, true
		}
	}
	c.sorry(w, r, http.StatusNotFound, "Not found", "There is no such certificate in service. Somebody may have removed it.")
	return servedPair{}, false
}

func (c *console) removeOwnCertificatePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.ownInService(w, r)
	if !ok {
		return
	}
	c.render(w, r, http.StatusOK, "sure", page{Title: "Remove the certificate?", User: id, Body: sureView{
		Title: "Remove the certificate?", Action: ownCertificatePath + "/" + p.Name + "/remove", Button: "Remove", Back: ownCertificatePath, Keep: "Keep it",
		Says: []string{"It is the one for " + strings.Join(p.Names, ", ") + " (" + p.Algorithm + ", issued by " + p.Issuer + "). Its key is deleted with it and cannot be had back from here. " +
			"Who comes by these names gets another certificate for them if there is one, else this device’s own."},
	}})
}

func (c *console) removeOwnCertificate(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.ownInService(w, r)
	if !ok {
		return
	}
	if err := c.unpublish(r.Context(), p.Name, id.User, "removed on the settings page"); err != nil {
		c.log.Error("own certificate not removed", "err", err)
		c.sorry(w, r, http.StatusServiceUnavailable, "Not removed", "system did not do it. Try again in a moment; if it stays, system's log says why.")
		return
	}
	c.back(w, r, ownCertificatePath, "The certificate for "+strings.Join(p.Names, ", ")+" was removed.")
}
