package web

import (
	"errors"
	"strings"
	"testing"
)

func TestParseMessage(t *testing.T) {
	for in, want := range map[string]error{
		`{"type":"viewer","cameraId":"door","sdpOffer":"v=0"}`:                                                                    nil,
		`{"type":"viewer","cameraId":"door","streamId":"sub","sdpOffer":"v=0","token":"x"}`:                                       nil,
		`{"type":"viewer","sdpOffer":"v=0"}`:                                                                                      errIncomplete,
		`{"type":"viewer","cameraId":"door"}`:                                                                                     errIncomplete,
		`{"type":"onIceCandidate","candidate":{"candidate":"candidate:1 1 udp 1 ::1 9 typ host","sdpMid":"0","sdpMLineIndex":0}}`: nil,
		`{"type":"onIceCandidate","candidate":null}`:                                                                              nil,
		`{"type":"onIceCandidate","candidate":{"sdpMLineIndex":-1}}`:                                                              errNotJSON,
		`{"type":"stop","more":1}`:                                                                                                nil,
		`{"type":"restart"}`:                                                                                                      errUnknownType,
		`{"type":7}`:                                                                                                              errNotJSON,
		`{}`:                                                                                                                      errUnknownType,
		``:                                                                                                                        errNotJSON,
		`hello`:                                                                                                                   errNotJSON,
		`{"type":"stop","token":"a\r\nCookie: b"}`:                                                                                errNotJSON,
		`{"type":"stop","sdpOffer":"` + strings.Repeat("x", maxMessage) + `"}`: errNotJSON,
	} {
		m, err := parseMessage([]byte(in))
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%.80s: %v, want %v", in, err, want)
		}
		if err == nil && m.Type == typeCandidate && m.Candidate == nil {
			t.Errorf("%.80s: no candidate", in)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte(`{"type":"viewer","cameraId":"door","sdpOffer":"v=0","token":"x"}`))
	f.Add([]byte(`{"type":"onIceCandidate","candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}}`))
	f.Add([]byte(`{"type":"onIceCandidate","candidate":null}`))
	f.Add([]byte(`{"type":"stop"}`))
	f.Add([]byte(`[{"type":"stop"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes would be sent", len(err.Error()))
			}
			return
		}
		switch m.Type {
		case typeViewer:
			if m.CameraID == "" || m.SDPOffer == "" {
				t.Error("an incomplete viewer message passes")
			}
		case typeCandidate:
			if m.Candidate == nil {
				t.Error("a message without candidate passes")
			}
		case typeStop:
		default:
			t.Errorf("type %q passes", m.Type)
		}
		if strings.ContainsAny(m.Token, "\r\n") {
			t.Error("a token with a line break passes")
		}
	})
}

func TestParseFragment(t *testing.T) {
	ufrag, candidates, err := parseFragment("a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:first\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0U\r\n" +
		"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=candidate:2 1 tcp 15 192.0.2.1 9 typ host tcptype active\r\na=end-of-candidates\r\n")
	if err != nil || ufrag != "EsAw" || len(candidates) != 2 {
		t.Fatalf("%q, %d candidates, %v", ufrag, len(candidates), err)
	}
	c := candidates[0]
	if c.Candidate != "candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host" || *c.SDPMid != "first" || *c.SDPMLineIndex != 0 {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{"hello", "a=x\nnonsense here\n", strings.Repeat("a=candidate:1\n", maxCandidates+1)} {
		if _, _, err := parseFragment(bad); !errors.Is(err, errFragment) {
			t.Errorf("%.30q: %v", bad, err)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add("a=ice-ufrag:EsAw\r\nm=audio 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n")
	f.Add("m=\nm=\na=candidate\na=mid")
	f.Fuzz(func(t *testing.T, text string) {
		_, candidates, err := parseFragment(text)
		if err == nil && len(candidates) > maxCandidates {
			t.Errorf("%d candidates", len(candidates))
		}
		for _, c := range candidates {
			if !strings.HasPrefix(c.Candidate, "candidate:") || strings.ContainsAny(c.Candidate, "\n") {
				t.Errorf("candidate %q", c.Candidate)
			}
		}
	})
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"", "porthole:8765", true},
		{"https://porthole", "porthole:8765", true},
		{"https://porthole:8443", "porthole", true},
		{"https://PORTHOLE.local", "porthole.local:8765", true},
		{"https://[fd00::1]:8443", "[fd00::1]:8765", true},
		{"https://192.168.1.7", "192.168.1.7:8765", true},
		{"http://localhost:3000", "localhost:8765", true},
		{"https://evil.example", "porthole:8765", false},
		{"https://porthole.evil.example", "porthole:8765", false},
		{"https://evil.example#porthole", "porthole:8765", false},
		{"https://porthole@evil.example", "porthole:8765", false},
		{"null", "porthole", false},
		{"file://", "", false},
		{"https://", "", false},
		{"%", "porthole", false},
	} {
		if got := sameHost(c.origin, c.host); got != c.want {
			t.Errorf("a page of %q at %q: %v", c.origin, c.host, got)
		}
	}
}
