package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"porthole/packages/console/updates"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/update"
)

// updateAPI is the REST API of updates (docs/updates.md).
const updateAPI = "/api/v1/update"

const (
	// maxOffer bounds a manifest with its signature as JSON, in bytes.
	maxOffer = 192 << 10
	// maxUpdate bounds what is read of a whole update's body, in bytes: two of the largest parts and what is around them.
	maxUpdate = 2*update.MaxPart + (1 << 20)
)

func (c *console) updateRoutes() []route {
	return []route{
		{"GET /settings/updates", admin, c.updatesPage},
		{"GET /fragments/settings/updates", admin, c.updatesPage},
		{"POST /settings/updates", admin, c.updateForm},
		{"POST /settings/updates/url", admin, c.updateURLForm},
		{"POST /settings/updates/install", admin, c.updateInstallForm},
		{"GET /settings/updates/back", admin, c.updateBackPage},
		{"POST /settings/updates/back", admin, c.updateBackForm},
		{"POST /settings/updates/cancel", admin, c.updateCancelForm},
		{"GET " + updateAPI, admin, c.updateStatus},
		{"POST " + updateAPI, admin, c.updateWhole},
		{"PUT " + updateAPI, admin, c.updateWhole},
		{"DELETE " + updateAPI, admin, c.updateCancel},
		{"POST " + updateAPI + "/manifest", admin, c.updateManifest},
		{"PUT " + updateAPI + "/parts/{name}", admin, c.updatePart},
		{"POST " + updateAPI + "/url", admin, c.updateURL},
		{"POST " + updateAPI + "/install", admin, c.updateInstall},
		{"POST " + updateAPI + "/back", admin, c.updateBack},
	}
}

// updatesOptions say whom updates come from and go to.
func (c *console) updatesOptions() updates.Options {
	fetch := updates.FetchOptions{Agent: "Porthole/" + daemon.Version(), Inside: c.env.SingleUser}
	if !c.env.SingleUser {
		fetch.Ports = updatePorts()
	}
	return updates.Options{Log: c.log, Socket: c.env.Socket("system"), Keeper: updateKeeper{c.store}, Fetch: fetch}
}

// updatePorts are those that updates may be fetched from, a part of acmePorts.
func updatePorts() []uint16 { return []uint16{80, 443, 8443} }

// updateAnswer is what the API says.
type updateAnswer struct {
	updates.View
	SupportEnds string `json:"support_ends"`
}

func answerUpdate(w http.ResponseWriter, status int, v updates.View) {
	if v.History == nil {
		v.History = []update.Event{}
	}
	writeJSON(w, status, updateAnswer{v, update.SupportEnds})
}

// sorryUpdate says why something was not done: JSON to programs.
func (c *console) sorryUpdate(w http.ResponseWriter, r *http.Request, err error) {
	var p *updates.Problem
	switch {
	case errors.As(err, &p):
		says := map[string]string{"error": p.Text}
		if p.Code != "" {
			says["code"] = p.Code
		}
		writeJSON(w, p.Status, says)
	case r.Context().Err() != nil || brokeOff(err):
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": cameNotWhole})
	default:
		c.failed(w, r, err)
	}
}

// cameNotWhole is said of what broke off on its way.
const cameNotWhole = "It did not arrive whole: the connection broke off. Send it again; parts that have arrived are kept."

// brokeOff reports whether err is the client's connection.
func brokeOff(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errBody)
}

// errBody marks what is wrong with reading a request's body.
var errBody = errors.New("read the request's body")

// clientBody marks its errors with errBody, but for its end.
type clientBody struct{ r io.Reader }

func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errors.Join(errBody, err)
	}
	return n, err
}

func by(r *http.Request, id identity.Identity) updates.Person {
	return updates.Person{Name: id.User, Remote: remoteOf(r)}
}

// noteUpdate writes into the audit log what somebody did.
func (c *console) noteUpdate(r *http.Request, id identity.Identity, what string) {
	c.note(r.Context(), byPerson(r, id, auditDevice, what))
}

func (c *console) updateStatus(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	v, err := c.updates.View(r.Context())
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	answerUpdate(w, http.StatusOK, v)
}

// wishOf reads what becomes of an update from the address.
func wishOf(r *http.Request) updates.Wish {
	q := r.URL.Query()
	yes := func(name string) bool {
		b, err := strconv.ParseBool(q.Get(name))
		return err == nil && b
	}
	return updates.Wish{Downgrade: yes("downgrade"), Install: yes("install")}
}

// updateWhole takes an update file as the request's body.
func (c *console) updateWhole(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	body := clientBody{io.LimitReader(r.Body, maxUpdate)}
	v, err := c.updates.Receive(r.Context(), by(r, id), body, wishOf(r))
	// Who is still sending would see a broken connection instead of the answer.
	io.Copy(io.Discard, body) //nolint:errcheck // it does not matter any more
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	c.noteUpdate(r, id, "sent the update "+v.Target)
	answerUpdate(w, http.StatusOK, v)
}

// readUpdateJSON reads a small body; false when it was answered.
func readUpdateJSON(w http.ResponseWriter, r *http.Request, into any, example string) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOffer))
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("there is more behind it")
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "This cannot be read. Send " + example + " as JSON."})
		return false
	}
	return true
}

// updateManifest takes an update's manifest; the parts come one by one.
func (c *console) updateManifest(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	var in struct {
		Manifest  []byte `json:"manifest"`
		Signature string `json:"signature"`
		updates.Wish
	}
	if !readUpdateJSON(w, r, &in, `{"manifest": base64, "signature": text, "downgrade"?: bool, "install"?: bool}`) {
		return
	}
	v, err := c.updates.Offer(r.Context(), by(r, id), in.Manifest, []byte(in.Signature), in.Wish)
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	c.noteUpdate(r, id, "began to send the update "+v.Target)
	answerUpdate(w, http.StatusOK, v)
}

// updatePart takes a part as the update file stores it.
func (c *console) updatePart(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	byPerson(r, id, auditDevice, "") // the manifest's line says enough
	body := clientBody{io.LimitReader(r.Body, maxUpdate)}
	v, err := c.updates.SendPart(r.Context(), r.PathValue("name"), body, r.ContentLength)
	io.Copy(io.Discard, body) //nolint:errcheck // as in updateWhole
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	answerUpdate(w, http.StatusOK, v)
}

// updateURL has an update fetched.
func (c *console) updateURL(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	var in struct {
		URL string `json:"url"`
		updates.Wish
	}
	if !readUpdateJSON(w, r, &in, `{"url": address, "downgrade"?: bool, "install"?: bool}`) {
		return
	}
	if err := c.updates.Fetch(by(r, id), in.URL, in.Wish); err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	c.noteUpdate(r, id, "had an update fetched from "+hostOf(in.URL))
	c.updateDone(w, r, http.StatusAccepted)
}

// updateDone answers with what is so now, if system says it.
func (c *console) updateDone(w http.ResponseWriter, r *http.Request, status int) {
	v, err := c.updates.View(r.Context())
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	answerUpdate(w, status, v)
}

func (c *console) updateInstall(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, err := c.orderUpdate(r, id, "install")
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	answerUpdate(w, http.StatusAccepted, v)
}

func (c *console) updateBack(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, err := c.orderUpdate(r, id, "back")
	if err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	answerUpdate(w, http.StatusAccepted, v)
}

func (c *console) updateCancel(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if _, err := c.orderUpdate(r, id, "cancel"); err != nil {
		c.sorryUpdate(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// orderUpdate gives an order and writes down who did. The view is how it was before it.
func (c *console) orderUpdate(r *http.Request, id identity.Identity, order string) (updates.View, error) {
	v, err := c.updates.View(r.Context())
	if err != nil {
		return v, err
	}
	what := ""
	switch order {
	case "install":
		err, what = c.updates.Install(r.Context(), by(r, id)), "had the device restart into "+v.Target
	case "back":
		err, what = c.updates.Back(r.Context(), by(r, id)), "had the device go back to "+v.Other
	default:
		err, what = c.updates.Cancel(r.Context(), by(r, id)), "called an update off"
		if v.Target != "" {
			what = "called the update " + v.Target + " off"
		}
	}
	if err != nil {
		return v, err
	}
	c.noteUpdate(r, id, what)
	if now, err := c.updates.View(r.Context()); err == nil {
		v = now // else it restarts already
	}
	return v, nil
}
