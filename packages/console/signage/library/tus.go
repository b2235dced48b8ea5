package library

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"porthole/packages/internal/units"
)

// Words of tus 1.0 (https://tus.io/protocols/resumable-upload, "Core Protocol" and "Protocol Extensions").
const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,expiration,checksum,termination"
	tusChecksums  = "sha1,sha256"
	tusType       = "application/offset+octet-stream"

	statusChecksumMismatch = 460

	maxMetadata = 4096 // bytes of an Upload-Metadata header
)

// Uploads is where uploads lie below the host.
const Uploads = "/uploads/"

// ServeUploads speaks tus 1.0 below Uploads with somebody who may upload. by is their account: nobody else sees their uploads.
func (l *Library) ServeUploads(w http.ResponseWriter, r *http.Request, by string) {
	w.Header().Set("Tus-Resumable", tusVersion)
	method := r.Method
	if m := r.Header.Get("X-HTTP-Method-Override"); m != "" && method == http.MethodPost {
		method = m
	}
	if method == http.MethodOptions {
		h := w.Header()
		h.Set("Tus-Version", tusVersion)
		h.Set("Tus-Extension", tusExtensions)
		h.Set("Tus-Checksum-Algorithm", tusChecksums)
		h.Set("Tus-Max-Size", strconv.FormatInt(maxFile, 10))
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Header.Get("Tus-Resumable") != tusVersion {
		w.Header().Set("Tus-Version", tusVersion)
		say(w, http.StatusPreconditionFailed, "Uploads use tus "+tusVersion+": send the header Tus-Resumable: "+tusVersion+".")
		return
	}
	id, below := strings.CutPrefix(r.URL.Path, Uploads)
	switch {
	case below && id == "" && method == http.MethodPost:
		l.serveCreate(w, r, by)
		return
	case !below || id == "":
		w.Header().Set("Allow", "OPTIONS, POST")
		say(w, http.StatusMethodNotAllowed, "Uploads are made here with POST.")
		return
	}
	u := l.uploads.find(id, by)
	if u == nil {
		say(w, http.StatusNotFound, "There is no such upload (any more). Upload the file again.")
		return
	}
	switch method {
	case http.MethodHead:
		l.serveHead(w, r, u)
	case http.MethodPatch:
		l.servePatch(w, r, u)
	case http.MethodDelete:
		l.serveDelete(w, r, u)
	default:
		w.Header().Set("Allow", "OPTIONS, HEAD, PATCH, DELETE")
		say(w, http.StatusMethodNotAllowed, "An upload takes HEAD, PATCH and DELETE.")
	}
}

// say answers with a sentence.
func say(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// sayError answers with what an error means.
func (l *Library) sayError(w http.ResponseWriter, what string, err error) {
	reason, refused := AsRefusal(err)
	switch {
	case isFull(err):
		say(w, http.StatusInsufficientStorage, reason)
	case errors.Is(err, errTooManyUploads):
		w.Header().Set("Retry-After", "10")
		say(w, http.StatusTooManyRequests, "Too many uploads are not finished. Wait until some are, or cancel them.")
	case refused:
		say(w, http.StatusUnprocessableEntity, reason)
	default:
		l.log.Error("upload failed", "what", what, "err", err)
		say(w, http.StatusInternalServerError, "Porthole could not keep this; console's log says why.")
	}
}

func (l *Library) serveCreate(w http.ResponseWriter, r *http.Request, by string) {
	length, err := parseCount(r.Header.Get("Upload-Length"))
	switch {
	case err != nil:
		say(w, http.StatusBadRequest, "Upload-Length has to say how many bytes the file has.")
		return
	case length == 0:
		say(w, http.StatusUnprocessableEntity, "The file is empty.")
		return
	case length > maxFile:
		say(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("The file has %s; more than %s are not taken.", units.Bytes(length), units.Bytes(maxFile)))
		return
	}
	raw := r.Header.Get("Upload-Metadata")
	meta, err := ParseMetadata(raw)
	if err != nil {
		say(w, http.StatusBadRequest, "Upload-Metadata is not as tus has it: "+err.Error()+".")
		return
	}
	name := meta["filename"]
	if name == "" {
		name = meta["name"]
	}
	u, err := l.create(uploadInfo{By: by, Name: CleanName(name), Metadata: raw, Length: length, Created: time.Now()})
	if err != nil {
		l.sayError(w, "create", err)
		return
	}
	w.Header().Set("Location", Uploads+u.id)
	l.setExpires(w, u)
	w.WriteHeader(http.StatusCreated)
}

// parseCount reads a number of bytes: digits only.
func parseCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || s[0] == '+' || s[0] == '-' {
		return 0, errors.New("not a number of bytes")
	}
	return n, nil
}

// ParseMetadata reads an Upload-Metadata header: pairs of a key and a base64 value, which may be missing.
func ParseMetadata(s string) (map[string]string, error) {
	m := map[string]string{}
	if strings.TrimSpace(s) == "" {
		return m, nil
	}
	if len(s) > maxMetadata {
		return nil, fmt.Errorf("it is longer than %d bytes", maxMetadata)
	}
	for pair := range strings.SplitSeq(s, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f }) {
			return nil, errors.New("a key is empty or not ASCII")
		}
		if _, twice := m[key]; twice {
			return nil, errors.New("a key is there twice")
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			return nil, errors.New("a value is not base64")
		}
		m[key] = string(b)
	}
	return m, nil
}

func (l *Library) setExpires(w http.ResponseWriter, u *upload) {
	l.uploads.mu.Lock()
	touched := u.touched
	l.uploads.mu.Unlock()
	w.Header().Set("Upload-Expires", touched.Add(l.opts.Expire).UTC().Format(http.TimeFormat))
}

func (l *Library) serveHead(w http.ResponseWriter, r *http.Request, u *upload) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	// A connection that was cut may not have been noticed here: what it brought counts only once it is on the disk.
	release, err := l.seize(r.Context(), u)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusLocked)
		return
	}
	release()
	l.uploads.mu.Lock()
	offset, state := u.offset, u.state
	l.uploads.mu.Unlock()
	h.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	h.Set("Upload-Length", strconv.FormatInt(u.info.Length, 10))
	if u.info.Metadata != "" {
		h.Set("Upload-Metadata", u.info.Metadata)
	}
	if state == Uploading {
		l.setExpires(w, u)
	}
	w.WriteHeader(http.StatusOK)
}

func (l *Library) serveDelete(w http.ResponseWriter, r *http.Request, u *upload) {
	release, err := l.seize(r.Context(), u)
	if err != nil {
		say(w, http.StatusLocked, "Somebody is still sending this upload. Try again.")
		return
	}
	defer release()
	l.uploads.mu.Lock()
	unfinished := u.state == Uploading
	if unfinished {
		delete(l.uploads.byID, u.id)
		u.state = Refused
	}
	l.uploads.mu.Unlock()
	if !unfinished {
		say(w, http.StatusGone, "This upload is complete and cannot be cancelled any more. Delete the medium instead.")
		return
	}
	l.removeUpload(u)
	w.WriteHeader(http.StatusNoContent)
}

// StatusOf answers GET /media/status?upload=ID: how an upload of this account stands, as JSON.
func (l *Library) StatusOf(w http.ResponseWriter, r *http.Request, by string) {
	id := r.URL.Query().Get("upload")
	u := l.uploads.find(id, by)
	if u == nil {
		say(w, http.StatusNotFound, "There is no such upload (any more).")
		return
	}
	l.uploads.mu.Lock()
	s := Status{State: u.state, Name: u.info.Name, Offset: u.offset, Length: u.info.Length, Reason: u.reason}
	media, notes := u.media, u.notes
	l.uploads.mu.Unlock()
	if s.State == Ready {
		s.Media = statusMedia(media, notes)
	}
	answer(w, http.StatusOK, s)
}

// checksum is what an Upload-Checksum header asks for.
type checksum struct {
	hash hasher
	want []byte
}

// hasher is a hash.Hash without what is not needed.
type hasher interface {
	Write(b []byte) (int, error)
	Sum(b []byte) []byte
}

// parseChecksum reads an Upload-Checksum header; nil for an empty one.
func parseChecksum(s string) (*checksum, error) {
	if s == "" {
		return nil, nil
	}
	name, value, _ := strings.Cut(s, " ")
	want, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, errors.New("Upload-Checksum is not base64")
	}
	switch {
	case name == "sha1" && len(want) == sha1.Size:
		return &checksum{sha1.New(), want}, nil
	case name == "sha256" && len(want) == sha256.Size:
		return &checksum{sha256.New(), want}, nil
	}
	return nil, errors.New("Upload-Checksum takes " + tusChecksums)
}
