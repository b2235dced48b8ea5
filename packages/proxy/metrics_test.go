package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestMetrics: whom console knows gets them, others do not.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console-internal", newOffice(house(t)))
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	newEcho(t, r.https).start("door")
	c := browser(t, "http/1.1")
	viewer := func(rtt, loss, kbit float64, transcoded bool) map[string]any {
		return map[string]any{
			"id": "SECRETID", "user": "anna", "remote": "203.0.113.9", "stream": "door", "rtt_s": rtt, "loss": loss, "kbit_per_s": kbit, "transcoded": transcoded,
			"candidates": map[string]string{"local": "host", "remote": "prflx", "protocol": "tcp", "address": "203.0.113.9"},
		}
	}
	gone := r.serve(t, "signaling-status", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/viewers" {
			t.Errorf("asked for %s", q.URL.Path)
		}
		json.NewEncoder(w).Encode(map[string]any{
			"viewers": []any{viewer(0.05, 0, 1000, false), viewer(0.02, 0.25, 500, true)}, "limits": map[string]int{"total": 50},
			"streams": []any{
				map[string]any{"stream": "door", "started": 7, "sent_bytes": 12345, "sent_packets": 99, "lost_packets": 3, "dropped_frames": 2},
				map[string]any{"stream": "yard", "started": 1},
			},
			"refused": map[string]int{"busy": 4}, "ended": map[string]int{"time-limit": 5},
			"first_frame": map[string]any{"bounds": []float64{0.1, 1}, "buckets": []int{6, 8}, "count": 9, "sum": 3.5},
		})
	}))
	req := request(t, "GET", "https://"+r.https+"/metrics", nil)
	if res, body := fetch(t, c, req); res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") == "" || strings.Contains(body, "door") {
		t.Errorf("a stranger gets %d: %s", res.StatusCode, body)
	}
	req.Header.Set("Authorization", "Bearer scraper")
	res, body := fetch(t, c, req)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	for _, want := range []string{
		`porthole_stream_readers{stream="door"} 1`, `porthole_stream_state{state="live",stream="door"} 1`, `porthole_stream_sessions_total{stream="door"} 1`,
		`porthole_https_served_total{kind="rtsp"} 1`, `porthole_https_tls_handshakes_total{tls="TLS 1.2 TLS_ECDHE_`, "go_goroutines ", "process_cpu_seconds_total ",
		`porthole_https_refused_total{reason="not_allowed"} 0`, `porthole_stream_received_bytes_total{stream="door"} `,
		"porthole_live_up 1\n", "porthole_live_places 50\n", `porthole_live_viewers{stream="door"} 2`, `porthole_live_viewers{stream="yard"} 0`, `porthole_live_converted_viewers{stream="door"} 1`,
		`porthole_live_paths{local="host",protocol="tcp",remote="prflx"} 2`, `porthole_live_round_trip_seconds{stream="door"} 0.05`, `porthole_live_loss_ratio{stream="door"} 0.25`,
		`porthole_live_bits_per_second{stream="door"} 1.5e+06`, `porthole_live_viewers_total{stream="door"} 7`, `porthole_live_sent_bytes_total{stream="door"} 12345`, `porthole_live_lost_packets_total{stream="door"} 3`,
		`porthole_live_dropped_frames_total{stream="door"} 2`, `porthole_live_refused_total{reason="busy"} 4`, `porthole_live_ended_total{reason="time-limit"} 5`,
		`porthole_live_first_frame_seconds_bucket{le="0.1"} 6`, `porthole_live_first_frame_seconds_bucket{le="+Inf"} 9`, "porthole_live_first_frame_seconds_sum 3.5",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	for _, unwanted := range []string{"SECRETID", "anna", "203.0.113.9"} {
		if strings.Contains(body, unwanted) {
			t.Errorf("%s is in the metrics", unwanted)
		}
	}
	gone()
	if res, body := fetch(t, c, req); res.StatusCode != http.StatusOK || !strings.Contains(body, "porthole_live_up 0\n") || strings.Contains(body, "live_viewers") || !strings.Contains(body, `porthole_stream_readers{stream="door"} 1`) {
		t.Errorf("without signaling: %d\n%s", res.StatusCode, body)
	}
}
