package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"porthole/packages/internal/settings"
)

// tryWithin bounds trying a camera: proxy answers within 15 s.
const tryWithin = 20 * time.Second

// What proxy.sock says (docs/architecture.md), as far as the pages show it.
type (
	proxyStatus struct {
		Cameras []cameraStatus    `json:"cameras"`
		HTTPS   httpsStatus       `json:"https"`
		Refused map[string]uint64 `json:"refused"`
		Access  accessStatus      `json:"access"`
		// Handshakes are those that failed.
		Handshakes []handshake `json:"handshakes"`
	}
	httpsStatus struct {
		Connections int               `json:"connections"`
		Undecided   int               `json:"undecided"`
		Served      map[string]uint64 `json:"served"`
		TLS         map[string]uint64 `json:"tls"`
	}
	accessStatus struct {
		Own      []string `json:"own"`
		Networks []string `json:"networks"`
		Problems []string `json:"problems"`
	}
	cameraStatus struct {
		ID           string        `json:"id"`
		State        string        `json:"state"`
		Since        time.Time     `json:"since"`
		Error        string        `json:"error"`
		Readers      int           `json:"readers"`
		Tracks       []trackStatus `json:"tracks"`
		BytesIn      uint64        `json:"bytes_in"`
		BytesOut     uint64        `json:"bytes_out"`
		Dropped      uint64        `json:"dropped"`
		DroppedGOPs  uint64        `json:"dropped_gops"`
		Reconnects   int           `json:"reconnects"`
		Sessions     uint64        `json:"sessions"`
		LastSession  time.Time     `json:"last_session,omitzero"`
		LastDuration float64       `json:"last_duration_s"`
		Kbit         float64       `json:"kbit_per_s"`
		FPS          float64       `json:"fps"`
		GOPPictures  int           `json:"gop_pictures"`
		GOPSeconds   float64       `json:"gop_s"`
		Transport    string        `json:"transport"`
		Repairs      []string      `json:"repairs"`
	}
	trackStatus struct {
		Kind      string `json:"kind"`
		Codec     string `json:"codec"`
		Detail    string `json:"detail"`
		Width     int    `json:"width"`
		Height    int    `json:"height"`
		Profile   string `json:"profile"`
		BFrames   bool   `json:"b_frames"`
		ClockRate int    `json:"clock_rate"`
		Channels  int    `json:"channels"`
	}
	sessionStatus struct {
		ID          string    `json:"id"`
		Stream      string    `json:"stream"`
		Peer        string    `json:"peer"`
		Via         string    `json:"via"`
		User        string    `json:"user"`
		Auth        string    `json:"auth"`
		UserAgent   string    `json:"user_agent"`
		Transport   string    `json:"transport"`
		Since       time.Time `json:"since"`
		Ended       time.Time `json:"ended,omitzero"`
		Reason      string    `json:"reason"`
		BytesOut    uint64    `json:"bytes_out"`
		Dropped     uint64    `json:"dropped"`
		DroppedGOPs uint64    `json:"dropped_gops"`
	}
	rtspLine struct {
		Seq    uint64    `json:"seq"`
		Time   time.Time `json:"time"`
		Stream string    `json:"stream"`
		Side   string    `json:"side"`
		Peer   string    `json:"peer"`
		From   string    `json:"from"`
		Text   string    `json:"text"`
	}
	probeResult struct {
		OK        bool          `json:"ok"`
		Code      string        `json:"code"`
		Problem   string        `json:"problem"`
		Tracks    []trackStatus `json:"tracks"`
		Repairs   []string      `json:"repairs"`
		Transport string        `json:"transport"`
	}
	sessionList struct {
		Sessions []sessionStatus `json:"sessions"`
	}
	probeAnswer struct {
		Result probeResult `json:"result"`
		// ID is a camera that signaling can show for a minute; empty when nothing comes.
		ID string `json:"id"`
	}
)

// video and audio return a camera's first tracks of their kinds; false when it has none, or none is known yet.
func (s cameraStatus) video() (trackStatus, bool) { return firstTrack(s.Tracks, "video") }
func (s cameraStatus) audio() (trackStatus, bool) { return firstTrack(s.Tracks, "audio") }

func firstTrack(tracks []trackStatus, kind string) (trackStatus, bool) {
	for _, t := range tracks {
		if t.Kind == kind {
			return t, true
		}
	}
	return trackStatus{}, false
}

// tryStream asks proxy to connect to an address. The camera's credentials go with it.
func (b *backends) tryStream(ctx context.Context, cam settings.Camera, address string) (answer probeAnswer, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	status, err = b.proxy.Call(ctx, http.MethodPost, "/probe", map[string]string{
		"url": address, "user": cam.User, "password": cam.Password, "transport": string(cam.Transport),
	}, &answer)
	return answer, status, err
}

// rtspLog returns the RTSP log, newest first; of one stream, or of all when stream is empty.
func (b *backends) rtspLog(ctx context.Context, stream string) ([]rtspLine, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer struct {
		Lines []rtspLine `json:"lines"`
	}
	_, err := b.proxy.Call(ctx, http.MethodGet, "/log?after=0&stream="+url.QueryEscape(stream), nil, &answer)
	return answer.Lines, err
}

// clearRTSPLog empties the RTSP log.
func (b *backends) clearRTSPLog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_, err := b.proxy.Call(ctx, http.MethodDelete, "/log", nil, nil)
	return err
}

// endSession cuts a reader off; the status is 404 when it is gone already.
func (b *backends) endSession(ctx context.Context, id string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	defer b.sessions.forget()
	return b.proxy.Call(ctx, http.MethodDelete, "/sessions/"+url.PathEscape(id), nil, nil)
}
