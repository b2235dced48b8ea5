package rtsp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

const (
	// ProbePrefix is how the IDs of sources to Probe begin; a camera's never do.
	ProbePrefix = "probe-"
	// maxProbes is how many cameras are tried at a time.
	maxProbes = 4
	// probeTimeout bounds a try, probeStays is how long its pictures can be read afterwards.
	probeTimeout = 15 * time.Second
	probeStays   = time.Minute
)

// ErrProbing says that as many cameras are being tried as may be at a time.
var ErrProbing = errors.New("four cameras are being tried already; try again in a few seconds")

// The codes of a ProbeResult.
const (
	codeAddress      = "address"
	codeRefused      = "refused"
	codeTimeout      = "timeout"
	codeUnauthorized = "unauthorized"
	codeNotFound     = "not-found"
	codeTLS          = "tls"
	codeNoVideo      = "no-video"
	codeCodec        = "codec"
	codeFailed       = "failed"
)

// Probe tries a camera, at most until ctx ends or 15 s, and says what it found. If pictures come, src.ID, which begins
// with ProbePrefix, can be read ViaSocket for a minute; the status does not list it. The error is ErrProbing, or says
// that src cannot be tried at all.
func (h *Hub) Probe(ctx context.Context, src Source) (ProbeResult, error) {
	if !strings.HasPrefix(src.ID, ProbePrefix) {
		return ProbeResult{}, fmt.Errorf("probe %q: its id does not begin with %q", src.ID, ProbePrefix)
	}
	src.AlwaysOn = false
	cam := newCamera(h.cfg, src, h.server, h.spawn, h.ended)
	h.mu.Lock()
	switch {
	case h.trying >= maxProbes:
		h.mu.Unlock()
		return ProbeResult{}, ErrProbing
	case h.probes[src.ID] != nil:
		h.mu.Unlock()
		return ProbeResult{}, fmt.Errorf("probe %q: that id is being tried already", src.ID)
	}
	h.trying++
	h.probes[src.ID] = cam
	h.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	res := cam.try(ctx)
	h.mu.Lock()
	h.trying--
	h.mu.Unlock()
	stays := res.OK && h.spawn(func(ctx context.Context) {
		timer := time.NewTimer(h.probeStays)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		h.forget(cam)
	})
	if !stays {
		h.forget(cam)
	}
	return res, nil
}

// forget ends a probe's camera.
func (h *Hub) forget(cam *camera) {
	h.mu.Lock()
	delete(h.probes, cam.id)
	h.mu.Unlock()
	cam.remove()
}

// try connects once, by each transport the source allows, and judges what comes.
func (c *camera) try(ctx context.Context) ProbeResult {
	err := c.first(ctx)
	s := c.status()
	res := ProbeResult{Tracks: s.Tracks, Repairs: s.Repairs, Transport: s.Transport}
	c.mu.Lock()
	src := c.src
	c.mu.Unlock()
	switch {
	case err != nil:
		res.Code, res.Problem = diagnose(err, src)
	default:
		res.OK, res.Code, res.Problem = judge(s.Tracks, src, s.Transport)
	}
	return res
}

// first waits for the camera's first pictures, or for what went wrong with the first try.
func (c *camera) first(ctx context.Context) error {
	c.mu.Lock()
	c.waiting++
	c.running = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
		c.lastUse = time.Now()
		signal(c.wake)
	}()
	if !c.spawn(c.run) {
		return errEnded
	}
	for {
		c.mu.Lock()
		changed, failed := c.changed, c.raw
		ready := c.state == stateLive && c.ready(time.Now())
		c.mu.Unlock()
		switch {
		case ready:
			return nil
		case failed != nil:
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errNoAnswer
		case <-c.ended:
			return errEnded
		}
	}
}

// judge says whether what a camera sends can be shown.
func judge(tracks []TrackStatus, src Source, transport string) (ok bool, code, problem string) {
	var video TrackStatus
	for _, t := range tracks {
		if t.Kind == Video && (video.Codec == "" || t.Codec == H264) {
			video = t
		}
	}
	switch {
	case video.Codec == "":
		return false, codeNoVideo, "The camera answers, but sends only sound: check whether the path in its address is that of a video stream."
	case video.Codec == H265:
		return true, codeCodec, "The camera sends H.265, which an Echo and many browsers do not play: switch this stream to H.264 in the camera's " +
			"settings, or take another stream of it."
	case video.Codec != H264:
		return false, codeCodec, fmt.Sprintf("The camera sends %s, which neither browsers nor an Echo play: switch this stream to H.264 in the "+
			"camera's settings, or take another stream of it.", video.Codec)
	case video.BFrames:
		return true, codeCodec, "The camera sends B-frames, with which live view in a browser stutters or has to be converted: switch them off in " +
			"the camera's settings (profile “baseline”, or B-frames 0)."
	case transport == "udp" && src.Transport != "udp":
		return true, "", "The camera sends over UDP only, so pictures may break on a weak Wi-Fi."
	}
	return true, "", ""
}

// diagnose explains why a camera could not be tried, with what to do.
func diagnose(err error, src Source) (code, problem string) {
	host, port := "the address", ""
	if u, err := base.ParseURL(src.URL); err == nil {
		host, port = u.Hostname(), cmp.Or(u.Port(), map[string]string{"rtsp": "554", "rtsps": "322"}[u.Scheme])
	}
	var dns *net.DNSError
	var op *net.OpError
	switch status := statusOf(err); {
	case errors.Is(err, errBadURL):
		return codeAddress, "That is not the address of a camera: it has to look like rtsp://192.168.1.20:554/stream1."
	case errors.As(err, &dns):
		return codeAddress, fmt.Sprintf("No device called %q is known in this network: check the spelling, or take its IP address.", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return codeRefused, fmt.Sprintf("%s is there, but nothing answers at port %s: check the port (most cameras have RTSP at 554) and that RTSP "+
			"is switched on in the camera's settings.", host, port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return codeAddress, fmt.Sprintf("%s cannot be reached: check the address and that the camera is switched on.%s", host, lanHint(host))
	case status == base.StatusUnauthorized, status == base.StatusForbidden, errors.As(err, new(liberrors.ErrClientAuthSetup)):
		if src.User == "" {
			return codeUnauthorized, "The camera wants a user name and a password: enter those of the camera."
		}
		return codeUnauthorized, "The camera refuses the user name or the password: some have a separate account for RTSP, and some lock out for " +
			"minutes after wrong tries."
	case status == base.StatusNotFound:
		return codeNotFound, "The camera has no stream at that path (404): the part behind the address's third slash differs by maker; look it up in " +
			"the camera's manual."
	case status == base.StatusUnsupportedTransport:
		return codeFailed, "The camera does not send this way (461): set the transport to automatic."
	case status != 0:
		return codeFailed, fmt.Sprintf("The camera answers with error %d.", status)
	case errors.Is(err, errTLS):
		return codeTLS, fmt.Sprintf("Port %s does not speak TLS: take rtsp:// instead of rtsps://, or the camera's port for RTSP over TLS.", port)
	case errors.Is(err, errWantsTLS):
		return codeTLS, fmt.Sprintf("Port %s speaks TLS: take rtsps:// instead of rtsp://.", port)
	case errors.Is(err, errNoMedia):
		return codeNoVideo, "The camera answers, but offers neither video nor sound at that path."
	case errors.Is(err, errSilent):
		return codeNoVideo, "The camera answers, but sends no pictures: restart it, or try another transport (TCP or UDP)."
	case errors.Is(err, errRedirect):
		return codeAddress, "The camera points to another host, which Porthole does not follow: enter that one's address."
	case errors.Is(err, errNoAnswer), errors.As(err, new(liberrors.ErrClientRequestTimedOut)), errors.As(err, &op) && op.Timeout(),
		errors.Is(err, context.DeadlineExceeded):
		return codeTimeout, fmt.Sprintf("Nothing answers at %s, port %s: check the address and that the camera is switched on.%s", host, port, lanHint(host))
	case errors.As(err, new(liberrors.ErrClientSDPInvalid)):
		return codeFailed, "The camera describes its stream in a way that cannot be understood, even with repairs."
	case errors.Is(err, errGarbage):
		return codeFailed, fmt.Sprintf("Something answers at %s, port %s, but it does not speak RTSP: check the port.", host, port)
	}
	return codeFailed, fmt.Sprintf("The connection to %s ended: %s. Check that port %s is the one for RTSP.", host, scrub(err.Error(), src), port)
}

// lanHint says that an address of a private network (RFC 1918) lies in none that this device is in.
func lanHint(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsPrivate() {
		return ""
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var own []string
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		if p.Contains(ip) {
			return ""
		}
		if p.Addr().Is4() {
			own = append(own, p.Masked().String())
		}
	}
	if len(own) == 0 {
		return " This device has no network now."
	}
	return fmt.Sprintf(" It is in none of this device's networks (%s).", strings.Join(own, ", "))
}
