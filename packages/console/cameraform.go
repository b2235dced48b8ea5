package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/internal/settings"
)

// fieldErrors are what is wrong in a form, by field as settings.FieldError names them.
type fieldErrors map[string]string

// add takes the first error of a field.
func (e fieldErrors) add(err error) {
	if fe, ok := asFieldError(err); ok && e[fe.Field] == "" {
		e[fe.Field] = fe.Reason
	}
}

// cameraForm is the page that adds or edits a camera, with what was typed.
type cameraForm struct {
	settings.Camera
	New   bool
	Title string
	// HasPassword says that an empty password field keeps one.
	HasPassword bool
	Host        string
	// Kbit is the typed bandwidth.
	Kbit string
	// NoOpen says that no network is open, so that NoAuth lets nobody in without an account.
	NoOpen bool
	Errors fieldErrors
	// Warnings do not keep the camera from being saved.
	Warnings []string
	// Tried are the results of trying the streams; empty before.
	Tried []triedStream
}

// streamField is the input of one stream's address.
type streamField struct {
	N                         int
	Field, Label, Value, Hint string
	Placeholder, Error        string
}

// Streams are the inputs of the streams' addresses.
func (f cameraForm) Streams() []streamField {
	list := []streamField{
		{Field: "url", Label: "Address", Value: f.URL, Placeholder: "rtsp://192.168.1.20/stream1", Hint: "The camera’s RTSP address, from its app or manual."},
		{Field: "url2", Label: "Address of a second stream", Placeholder: "rtsp://192.168.1.20/stream2", Hint: "Many cameras have a smaller picture at another address. Echo Show wants at most 1080p. Leave it empty if there is none."},
		{Field: "url3", Label: "Address of a third stream"},
	}
	for i := range list {
		list[i].N, list[i].Error = i+1, f.Errors[list[i].Field]
		if i > 0 && i <= len(f.MoreURLs) {
			list[i].Value = f.MoreURLs[i-1]
		}
	}
	return list
}

// Special reports whether the part of the form that most cameras do not need has something to show.
func (f cameraForm) Special() bool {
	return f.Options != (settings.StreamOptions{}) || f.AlwaysOn || f.Transport != settings.Auto || f.Errors["bandwidth_kbps"] != "" || f.Errors["transport"] != ""
}

// choice is an option of a select element.
type choice struct {
	Value, Text string
	Chosen      bool
}

func authChoices(chosen settings.ReaderAuth) []choice {
	if chosen == "" {
		chosen = settings.AnyAuth
	}
	list := []choice{
		{Value: string(settings.AnyAuth), Text: "Account, any way (Digest or Basic): works with everything"},
		{Value: string(settings.DigestAuth), Text: "Account, Digest only: the password never travels"},
		{Value: string(settings.BasicAuth), Text: "Account, Basic only: for readers that know nothing else"},
		{Value: string(settings.NoAuth), Text: "None on open networks; elsewhere an account"},
	}
	for i := range list {
		list[i].Chosen = list[i].Value == string(chosen)
	}
	return list
}

// AuthChoices are the ways of authentication.
func (f cameraForm) AuthChoices() []choice { return authChoices(f.Auth) }

// optionFlag is a checkbox with a word on when one needs it.
type optionFlag struct {
	Name, Label, Hint string
	Set               bool
}

// Flags are the stream options that are on or off.
func (f cameraForm) Flags() []optionFlag {
	o := f.Options
	return []optionFlag{
		{"drop_audio", "Leave out the sound", "Some Echo devices and Fire TV show certain cameras only without. Also for a codec that a reader does not know.", o.DropAudio},
		{"drop_framerate", "Leave out the frame rate", "For readers that stumble over a wrong number there and play too fast, too slow or not at all.", o.DropFramerate},
		{"drop_framesize", "Leave out the frame size", "For readers that show nothing, or a squeezed picture, when the camera announces another size than it sends.", o.DropFramesize},
		{"npt_now", "Say “now” as the start of the range", "For readers that ask a live camera to begin at 0 and then wait for ever.", o.NptNow},
		{"extra_crlf", "End the description with an empty line more", "For a reader that stops right after it asked for the description.", o.ExtraCRLF},
	}
}

// typedCamera is what the form holds.
func typedCamera(r *http.Request) (cam settings.Camera, kbit string) {
	trimmed := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	set := func(name string) bool { return r.PostFormValue(name) != "" }
	cam = settings.Camera{
		ID: r.PostFormValue("id"), Name: r.PostFormValue("name"), URL: trimmed("url"),
		MoreURLs: []string{trimmed("url2"), trimmed("url3")},
		User:     trimmed("user"), Password: r.PostFormValue("password"),
		Transport: settings.Transport(r.PostFormValue("transport")), Auth: settings.ReaderAuth(r.PostFormValue("auth")),
		AlwaysOn: set("always_on"),
		Options: settings.StreamOptions{
			DropAudio: set("drop_audio"), DropFramerate: set("drop_framerate"), DropFramesize: set("drop_framesize"),
			NptNow: set("npt_now"), ExtraCRLF: set("extra_crlf"),
		},
	}
	kbit = trimmed("bandwidth_kbps")
	if n, err := strconv.Atoi(kbit); err == nil {
		cam.Options.BandwidthKbps = n
	} else if kbit != "" {
		cam.Options.BandwidthKbps = -1
	}
	return cam, kbit
}

// checkTyped completes and checks what was typed; it finds everything that is wrong at once.
func checkTyped(typed settings.Camera) (settings.Camera, fieldErrors) {
	errs := fieldErrors{}
	if strings.TrimSpace(typed.ID) == "" {
		switch typed.ID = slug(typed.Name); {
		case strings.TrimSpace(typed.Name) == "":
			errs["name"] = "give the camera a name, for example Front door"
		case typed.ID == "":
			errs["id"] = "this name has no letters a to z to make an id of; type one"
		}
	}
	if typed.URL == "" {
		errs["url"] = "type the camera's address, for example rtsp://192.168.1.20/stream1"
	}
	if typed.User == "" && typed.Password != "" {
		errs["user"] = "type the user the password belongs to"
	}
	seen := map[string]int{typed.URL: 1}
	for i, u := range typed.MoreURLs {
		if n := seen[u]; u != "" && n > 0 {
			errs[fmt.Sprintf("url%d", i+2)] = fmt.Sprintf("this is the address of stream %d already; leave it empty or give another", n)
		}
		seen[u] = i + 2
	}
	// Normalize stops at the first error, so every part is tried on a camera that is right otherwise.
	const goodID, goodURL = "x", "rtsp://x"
	for _, part := range []settings.Camera{
		{ID: typed.ID, URL: goodURL},
		{ID: goodID, URL: goodURL, Name: typed.Name},
		{ID: goodID, URL: typed.URL},
		{ID: goodID, URL: goodURL, MoreURLs: []string{typed.MoreURLs[0]}},
		{ID: goodID, URL: goodURL, MoreURLs: []string{"", typed.MoreURLs[1]}},
		{ID: goodID, URL: goodURL, Transport: typed.Transport},
		{ID: goodID, URL: goodURL, Auth: typed.Auth},
		{ID: goodID, URL: goodURL, Options: typed.Options},
	} {
		if part.ID == "" || part.URL == "" {
			continue
		}
		_, err := part.Normalize()
		errs.add(err)
	}
	if len(errs) > 0 {
		return settings.Camera{}, errs
	}
	cam, err := typed.Normalize()
	errs.add(err)
	return cam, errs
}

// cameraWarnings are what a camera's owner should know, though it works.
func cameraWarnings(cam settings.Camera, around proxySettings) []string {
	var list []string
	if vlcTrips(cam.ID, cam.Name, cam.User, cam.Password) {
		list = append(list, "A name or password here contains “proxy”. VLC takes that word in an address for something else and may not play the camera; choose another if you use VLC.")
	}
	if cam.Auth == settings.NoAuth {
		if len(around.Access.Open) == 0 {
			list = append(list, "No network is open yet, so everybody is still asked for an account. Open one under Proxy.")
		} else {
			list = append(list, "Everybody in "+strings.Join(around.Access.Open, ", ")+" can watch this camera without a password.")
		}
	}
	return list
}
