package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"porthole/media/rtsp"
)

// floorPage is the least that plays a picture over WebRTC at once.
const floorPage = `<!doctype html><title>floor</title><video autoplay muted playsinline></video><script type="module">
const pc = new RTCPeerConnection();
pc.addTransceiver('video', {direction: 'recvonly'}).receiver.jitterBufferTarget = 0;
pc.ontrack = e => { document.querySelector('video').srcObject = new MediaStream([e.track]); };
await pc.setLocalDescription();
await new Promise(done => { pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done(); });
const answer = await fetch('/whep', {method: 'POST', body: pc.localDescription.sdp});
await pc.setRemoteDescription({type: 'answer', sdp: await answer.text()});
</script>`

// floor sends each picture of the camera to a page the moment it comes, without keeping, reading or limiting anything:
// what is left is the network, the browser's buffer, decoding and the screen.
type floor struct {
	track *webrtc.TrackLocalStaticSample
	srv   *http.Server
	video int
	sets  [][]byte

	mu    sync.Mutex
	peers []*webrtc.PeerConnection // guarded by mu
}

// startFloor returns a server that has only a page; its sink is to be fed by whoever reads the camera.
func startFloor() (*server, *floor, error) {
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", "floor")
	if err != nil {
		return nil, nil, fmt.Errorf("make the floor's track: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the floor's page: %w", err)
	}
	f := &floor{track: track}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, floorPage)
	})
	mux.HandleFunc("POST /whep", f.whep)
	f.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "floor:", err)
		}
	}()
	return &server{name: "floor", page: "http://" + l.Addr().String() + "/", stop: func() {
		f.srv.Close()
		<-done
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, pc := range f.peers {
			pc.Close()
		}
	}}, f, nil
}

func (f *floor) whep(w http.ResponseWriter, r *http.Request) {
	answer, err := f.answer(r.Context(), r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	io.WriteString(w, answer)
}

func (f *floor) answer(ctx context.Context, body io.Reader) (string, error) {
	offer, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return "", err
	}
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	f.peers = append(f.peers, pc)
	f.mu.Unlock()
	if _, err := pc.AddTrack(f.track); err != nil {
		return "", err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)}); err != nil {
		return "", err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
	}
	return pc.LocalDescription().SDP, nil
}

// Tracks implements rtsp.Sink.
func (f *floor) Tracks(tracks []rtsp.Track) {
	for i, t := range tracks {
		if t.Kind == rtsp.Video {
			f.video, f.sets = i, [][]byte{t.SPS, t.PPS}
		}
	}
}

// Unit implements rtsp.Sink.
func (f *floor) Unit(u rtsp.Unit) {
	if u.Track != f.video {
		return
	}
	var b []byte
	add := func(n []byte) { b = append(append(b, 0, 0, 0, 1), n...) }
	for _, n := range u.NALUs {
		if n[0]&0x1f == 5 && len(b) == 0 {
			for _, s := range f.sets {
				add(s)
			}
		}
		add(n)
	}
	// Who cannot be sent to is not there any more.
	_ = f.track.WriteSample(media.Sample{Data: b, Duration: time.Second / clockFPS})
}
