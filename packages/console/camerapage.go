package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// testPort is where proxy serves plain RTSP to the LAN while the switch for it is on (docs/architecture.md).
const testPort = "5001"

// copyLine is a text to copy. Masked is shown instead of a text that holds a secret, until somebody asks for it.
type copyLine struct{ Label, Whole, Masked, Hint string }

// fact is a name and a value.
type fact struct{ Name, Value string }

// streamView is one stream on a camera's page.
type streamView struct {
	N int
	// ID names the stream on the Hub, Path in the addresses of pages.
	ID      string
	State   state
	Reason  string
	Picture string
	Facts   []fact
	Repairs []string
	// Addresses, Alexa and Verdict are for administrators.
	Addresses []copyLine
	Alexa     string
	Verdict   []verdictLine
}

// cameraPage is the page of one camera.
type cameraPage struct {
	ID, Name       string
	Admin, Builtin bool
	Proxy          string // why there is nothing to say about the camera, or empty
	Streams        []streamView
	Door           []verdictLine
	// Item is the camera for Alexa4P3.
	Item     string
	Named    bool
	Warnings []string
}

// streamID is what a stream is called on the Hub and on rtsp.sock.
func streamID(camera string, n int) string {
	if n == 1 {
		return camera
	}
	return camera + "/" + strconv.Itoa(n)
}

// seenCamera returns the camera the path names, which may be built in; false when it was answered that there is none.
func (c *console) seenCamera(w http.ResponseWriter, r *http.Request, id identity.Identity) (settings.Camera, bool) {
	list, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return settings.Camera{}, false
	}
	i := slices.IndexFunc(list, func(cam settings.Camera) bool { return cam.ID == r.PathValue("id") && id.MaySee(cam.ID) })
	if i < 0 {
		c.noCamera(w, r)
		return settings.Camera{}, false
	}
	return list[i], true
}

// cameraPage shows a camera, whole or as the fragment with which the page refreshes itself.
func (c *console) cameraPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	cam, ok := c.seenCamera(w, r, id)
	if !ok {
		return
	}
	v, err := c.cameraView(r, cam, isAdmin(id))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if isFragment(r) {
		c.renderPart(w, r, "detail", "streams", v)
		return
	}
	c.render(w, r, http.StatusOK, "detail", page{Title: cam.Name, User: id, Body: v})
}

func (c *console) cameraView(r *http.Request, cam settings.Camera, admin bool) (cameraPage, error) {
	ctx := r.Context()
	v := cameraPage{ID: cam.ID, Name: cam.Name, Admin: admin, Builtin: c.isBuiltin(cam.ID)}
	var status proxyStatus
	var cert certificateStatus
	var statusErr, certErr error
	var wg sync.WaitGroup
	wg.Go(func() { status, statusErr = c.backends.cameras.answer(ctx) })
	wg.Go(func() { cert, certErr = c.backends.certificate.answer(ctx) })
	wg.Wait()
	if statusErr != nil {
		v.Proxy = "proxy does not answer, so the state of the camera is not known. It may be restarting; this page keeps asking."
	}
	known := map[string]cameraStatus{}
	for _, s := range status.Cameras {
		known[s.ID] = s
	}
	for n := 1; n <= streamCount(cam); n++ {
		id := streamID(cam.ID, n)
		s, ok := known[id]
		v.Streams = append(v.Streams, newStreamView(n, id, s, ok))
	}
	if !admin {
		return v, nil
	}
	around, err := readProxySettings(ctx, c.store.r)
	if err != nil {
		return v, err
	}
	v.Named, v.Warnings = around.PublicName != "", cameraWarnings(cam, around)
	v.Door = doorVerdict(around, r.Host, cert, certErr, status.Access)
	return v, c.addSecrets(ctx, &v, cam, around, known, r.Host)
}

// addSecrets adds what holds passwords and tokens.
func (c *console) addSecrets(ctx context.Context, v *cameraPage, cam settings.Camera, around proxySettings, known map[string]cameraStatus, host string) error {
	account, err := c.store.streamAccount(ctx, c.store.r)
	if err != nil {
		return err
	}
	all, err := streamTokens(ctx, c.store.r)
	if err != nil {
		return err
	}
	tokens := all[cam.ID]
	outside := around.PublicName
	if outside == "" {
		outside = hostAlone(host)
	}
	var offers []alexaOffer
	for i := range v.Streams {
		s := &v.Streams[i]
		if i >= len(tokens) {
			// Somebody changed the camera this very moment.
			break
		}
		s.Addresses = addresses(s.ID, tokens[i], account, host, around.TestSocket)
		o := offerStream(tokens[i], outside, known[s.ID], cam.Options.DropAudio)
		offers = append(offers, o)
		if s.Alexa, err = o.cameraStreams(time.Now()); err != nil {
			return err
		}
		s.Verdict = streamVerdict(known[s.ID], cam.Options.DropAudio)
	}
	v.Item, err = alexaItem(cam, offers)
	return err
}

// hostAlone is a host without its port; an IPv6 address keeps its brackets.
func hostAlone(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// addresses are the ways to a stream. The host is the one the administrator came by: it works from where they are.
func addresses(stream, token string, a streamAccount, host string, test bool) []copyLine {
	withAccount := func(scheme, host string) copyLine {
		whole := (&url.URL{Scheme: scheme, User: url.UserPassword(a.user, a.password), Host: host, Path: "/" + stream}).String()
		return copyLine{Whole: whole, Masked: strings.Replace(whole, ":"+url.UserPassword("", a.password).String()[1:]+"@", ":••••••@", 1)}
	}
	account := withAccount("rtsps", host)
	account.Label = "With the account " + a.user
	byToken := (&url.URL{Scheme: "rtsps", Host: host, Path: "/t/" + token}).String()
	list := []copyLine{account, {
		Label: "With the stream’s token, without an account", Whole: byToken, Masked: strings.TrimSuffix(byToken, token) + "••••••",
		Hint: "Whoever has this address can watch this stream, and nothing else.",
	}}
	if test {
		vlc := withAccount("rtsp", hostAlone(host)+":"+testPort)
		vlc.Label = "For VLC, through the test socket"
		vlc.Hint = "Not encrypted, and only in your own network. Media, Open Network Stream."
		list = append(list, vlc)
	}
	return list
}

func newStreamView(n int, id string, s cameraStatus, known bool) streamView {
	v := streamView{N: n, ID: id, State: state{"unknown", toneMuted}, Picture: "/cameras/" + id + "/snapshot.jpg?w=640"}
	if !known {
		return v
	}
	v.State, v.Reason, v.Repairs = cameraState(s.State), printable(s.Error), s.Repairs
	if s.State == "idle" && v.Reason != "" {
		v.Reason = "Last time: " + v.Reason
	}
	v.Facts = streamFacts(s)
	return v
}

// streamFacts are a stream's statistics in a reader's words.
func streamFacts(s cameraStatus) []fact {
	list := []fact{{"State", cameraState(s.State).Text}}
	add := func(name, value string) {
		if value != "" {
			list = append(list, fact{name, value})
		}
	}
	if !s.Since.IsZero() {
		list[0].Value += " for " + durationText(time.Since(s.Since))
	}
	if v, ok := s.video(); ok {
		add("Codec", v.Codec)
		if v.Width > 0 {
			add("Resolution", sizeOf(v))
		}
		add("Profile", v.Profile)
	}
	if a, ok := s.audio(); ok {
		add("Sound", trackText(a))
	}
	if s.FPS > 0 {
		add("Frame rate", fmt.Sprintf("%.1f a second", s.FPS))
	}
	if s.GOPPictures > 0 {
		add("Key pictures (GOP)", fmt.Sprintf("every %d pictures, %.1f s", s.GOPPictures, s.GOPSeconds))
	}
	if s.Kbit > 0 {
		add("Bitrate", rateText(s.Kbit))
	}
	add("From the camera", strings.TrimSuffix(sizeText(int64(s.BytesIn))+", over "+strings.ToUpper(s.Transport), ", over "))
	add("To viewers", sizeText(int64(s.BytesOut)))
	add("Viewers now", strconv.Itoa(s.Readers))
	add("Viewers so far", strconv.FormatUint(s.Sessions, 10))
	if !s.LastSession.IsZero() {
		last := durationText(time.Since(s.LastSession)) + " ago"
		if s.LastDuration > 0 {
			last += ", for " + durationText(time.Duration(s.LastDuration*float64(time.Second)))
		}
		add("Last viewer came", last)
	}
	add("Missed by slow viewers", missedText(s.Dropped, s.DroppedGOPs))
	add("Reconnects", strconv.Itoa(s.Reconnects))
	return list
}

func missedText(packets, gops uint64) string {
	if packets == 0 && gops == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d gaps, %d packets", gops, packets)
}

// rateText says a bitrate.
func rateText(kbit float64) string {
	if kbit >= 1000 {
		return fmt.Sprintf("%.1f Mbit/s", kbit/1000)
	}
	return fmt.Sprintf("%.0f kbit/s", kbit)
}

// tokenView asks whether a stream's token may be replaced.
type tokenView struct {
	ID, Name string
	N        int
}

// seenStream returns the camera and the stream that the path names.
func (c *console) seenStream(w http.ResponseWriter, r *http.Request, id identity.Identity) (cam settings.Camera, n int, ok bool) {
	if cam, ok = c.seenCamera(w, r, id); !ok {
		return cam, 0, false
	}
	n, err := strconv.Atoi(r.PathValue("stream"))
	if err != nil || n < 1 || n > streamCount(cam) {
		c.sorry(w, r, http.StatusNotFound, "Not found", "The camera has no such stream.")
		return cam, 0, false
	}
	return cam, n, true
}

func (c *console) newTokenPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if cam, n, ok := c.seenStream(w, r, id); ok {
		c.render(w, r, http.StatusOK, "token", page{Title: "New token", User: id, Body: tokenView{cam.ID, cam.Name, n}})
	}
}

func (c *console) newToken(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	cam, n, ok := c.seenStream(w, r, id)
	if !ok {
		return
	}
	if err := c.store.rotateToken(r.Context(), cam.ID, n); err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("token replaced", "camera", cam.ID, "stream", n, "account", id.User)
	c.back(w, r, "/camera/"+cam.ID, fmt.Sprintf("Stream %d has a new token. Give the new address to whoever should go on watching.", n))
}
