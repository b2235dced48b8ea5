package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

const addTitle = "Add a camera"

func (c *console) newCameraPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	around, err := readProxySettings(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.showCamera(w, r, http.StatusOK, id, cameraForm{
		New: true, Title: addTitle, Camera: settings.Camera{Transport: settings.Auto, Auth: around.DefaultAuth},
	})
}

func (c *console) showCamera(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, f cameraForm) {
	around, err := readProxySettings(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	f.Host, f.NoOpen = r.Host, len(around.Access.Open) == 0
	f.Warnings = cameraWarnings(f.Camera, around)
	if f.Kbit == "" && f.Options.BandwidthKbps > 0 {
		f.Kbit = strconv.Itoa(f.Options.BandwidthKbps)
	}
	c.render(w, r, status, "camera", page{Title: f.Title, User: id, Body: f})
}

// saved goes to the camera's page and says what was done, and what its owner should know.
func (c *console) saved(w http.ResponseWriter, r *http.Request, cam settings.Camera, done string) {
	text := fmt.Sprintf("Camera %q was %s.", cam.Name, done)
	if around, err := readProxySettings(r.Context(), c.store.r); err == nil {
		text = strings.Join(append([]string{text}, cameraWarnings(cam, around)...), " ")
	}
	c.back(w, r, "/camera/"+cam.ID, text)
}

// refused shows the form again with what is wrong beside its fields; false when nothing is, or err is of another kind.
func (c *console) refused(w http.ResponseWriter, r *http.Request, id identity.Identity, f cameraForm, err error) bool {
	f.Errors.add(err)
	if len(f.Errors) == 0 {
		return false
	}
	c.showCamera(w, r, http.StatusUnprocessableEntity, id, f)
	return true
}

func asFieldError(err error) (*settings.FieldError, bool) {
	return errors.AsType[*settings.FieldError](err)
}

func (c *console) newCamera(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	f := cameraForm{New: true, Title: addTitle}
	f.Camera, f.Kbit = typedCamera(r)
	if r.PostFormValue("try") != "" {
		c.tryCamera(w, r, id, f, settings.Camera{})
		return
	}
	cam, errs := checkTyped(f.Camera)
	f.Errors = errs
	checked := f.ID
	if checked == "" {
		checked = slug(f.Name)
	}
	errs.add(c.checkID(checked))
	var err error
	if len(errs) == 0 {
		err = c.addCamera(r.Context(), cam)
	}
	switch {
	case err == nil && len(errs) == 0:
		c.log.Info("camera added", "camera", cam.ID, "account", id.User)
		c.saved(w, r, cam, "added")
	case c.refused(w, r, id, f, err):
	default:
		c.failed(w, r, err)
	}
}

// findCamera returns the household's camera that the path names; false when it was answered that there is none.
func (c *console) findCamera(w http.ResponseWriter, r *http.Request) (settings.Camera, bool) {
	name := r.PathValue("id")
	if c.isBuiltin(name) {
		c.sorry(w, r, http.StatusForbidden, "Built in", "This camera belongs to Porthole itself. It cannot be changed here.")
		return settings.Camera{}, false
	}
	list, err := storedCameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return settings.Camera{}, false
	}
	i := slices.IndexFunc(list, func(cam settings.Camera) bool { return cam.ID == name })
	if i < 0 {
		c.noCamera(w, r)
		return settings.Camera{}, false
	}
	return list[i], true
}

func (c *console) noCamera(w http.ResponseWriter, r *http.Request) {
	c.sorry(w, r, http.StatusNotFound, "Not found", "There is no such camera. Somebody may have deleted it.")
}

func (c *console) editCameraPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	cam, ok := c.findCamera(w, r)
	if !ok {
		return
	}
	f := cameraForm{Title: "Edit " + cam.Name, Camera: cam, HasPassword: cam.Password != ""}
	f.Password = ""
	c.showCamera(w, r, http.StatusOK, id, f)
}

func (c *console) editCamera(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	old, ok := c.findCamera(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	f := cameraForm{Title: "Edit " + old.Name, HasPassword: old.Password != ""}
	f.Camera, f.Kbit = typedCamera(r)
	f.ID = old.ID
	if r.PostFormValue("try") != "" {
		c.tryCamera(w, r, id, f, old)
		return
	}
	cam, errs := checkTyped(f.Camera)
	f.Errors = errs
	var err error
	if len(errs) == 0 {
		keepPassword(&cam, old)
		err = c.updateCamera(r.Context(), cam)
	}
	switch {
	case err == nil && len(errs) == 0:
		c.log.Info("camera changed", "camera", cam.ID, "account", id.User)
		c.saved(w, r, cam, "changed")
	case errors.Is(err, errNoCamera):
		c.noCamera(w, r)
	case c.refused(w, r, id, f, err):
	default:
		c.failed(w, r, err)
	}
}

func (c *console) dropCameraPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if cam, ok := c.findCamera(w, r); ok {
		c.render(w, r, http.StatusOK, "delete", page{Title: "Delete " + cam.Name, User: id, Body: cam})
	}
}

func (c *console) dropCamera(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	cam, ok := c.findCamera(w, r)
	if !ok {
		return
	}
	switch err := c.deleteCamera(r.Context(), cam.ID); {
	case err == nil:
		c.log.Info("camera deleted", "camera", cam.ID, "account", id.User)
		c.back(w, r, "/", fmt.Sprintf("Camera %q was deleted.", cam.Name))
	case errors.Is(err, errNoCamera):
		c.noCamera(w, r)
	default:
		c.failed(w, r, err)
	}
}
