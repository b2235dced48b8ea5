package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// cameraForm is the page that adds or edits a camera, with what was typed.
type cameraForm struct {
	settings.Camera
	New   bool
	Title string
	// HasPassword says that an empty password field keeps one.
	HasPassword bool
	Host        string
	// Errors are by field, as settings.FieldError names them.
	Errors map[string]string
}

const addTitle = "Add a camera"

func (c *console) newCameraPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showCamera(w, r, http.StatusOK, id, cameraForm{New: true, Title: addTitle, Camera: settings.Camera{Transport: settings.Auto}})
}

func (c *console) showCamera(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, f cameraForm) {
	f.Host = r.Host
	c.render(w, r, status, "camera", page{Title: f.Title, User: id, Body: f})
}

// typedCamera is what the form holds.
func typedCamera(r *http.Request) settings.Camera {
	return settings.Camera{
		ID: r.PostFormValue("id"), Name: r.PostFormValue("name"), URL: strings.TrimSpace(r.PostFormValue("url")),
		User: strings.TrimSpace(r.PostFormValue("user")), Password: r.PostFormValue("password"),
		Transport: settings.Transport(r.PostFormValue("transport")),
	}
}

// checkTyped completes and checks what was typed.
func checkTyped(typed settings.Camera) (settings.Camera, error) {
	if strings.TrimSpace(typed.ID) == "" {
		if strings.TrimSpace(typed.Name) == "" {
			return settings.Camera{}, &settings.FieldError{Field: "name", Reason: "give the camera a name, for example Front door"}
		}
		if typed.ID = slug(typed.Name); typed.ID == "" {
			return settings.Camera{}, &settings.FieldError{Field: "id", Reason: "this name has no letters a to z to make an id of; type one"}
		}
	}
	if typed.URL == "" {
		return settings.Camera{}, &settings.FieldError{Field: "url", Reason: "type the camera's address, for example rtsp://192.168.1.20/stream1"}
	}
	if typed.User == "" && typed.Password != "" {
		return settings.Camera{}, &settings.FieldError{Field: "user", Reason: "type the user the password belongs to"}
	}
	return typed.Normalize()
}

// refused shows the form again with what is wrong beside its field; false when err is of another kind.
func (c *console) refused(w http.ResponseWriter, r *http.Request, id identity.Identity, f cameraForm, err error) bool {
	var fe *settings.FieldError
	if !errors.As(err, &fe) {
		return false
	}
	f.Errors = map[string]string{fe.Field: fe.Reason}
	c.showCamera(w, r, http.StatusUnprocessableEntity, id, f)
	return true
}

func (c *console) newCamera(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	typed := typedCamera(r)
	cam, err := checkTyped(typed)
	if err == nil {
		err = c.addCamera(r.Context(), cam)
	}
	switch {
	case err == nil:
		c.log.Info("camera added", "camera", cam.ID, "account", id.User)
		c.back(w, r, "/", fmt.Sprintf("Camera %q was added.", cam.Name))
	case c.refused(w, r, id, cameraForm{New: true, Title: addTitle, Camera: typed}, err):
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
	typed := typedCamera(r)
	typed.ID = old.ID
	cam, err := checkTyped(typed)
	if err == nil {
		// An empty field keeps the password, as long as there is a user it can belong to.
		if cam.Password == "" && cam.User != "" {
			cam.Password = old.Password
		}
		err = c.updateCamera(r.Context(), cam)
	}
	switch {
	case err == nil:
		c.log.Info("camera changed", "camera", cam.ID, "account", id.User)
		c.back(w, r, "/", fmt.Sprintf("Camera %q was changed.", cam.Name))
	case errors.Is(err, errNoCamera):
		c.noCamera(w, r)
	case c.refused(w, r, id, cameraForm{Title: "Edit " + old.Name, Camera: typed, HasPassword: old.Password != ""}, err):
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
