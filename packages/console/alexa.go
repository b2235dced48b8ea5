package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"porthole/packages/internal/settings"
)

// alexaStream is an element of cameraStreams in the answer to InitializeCameraStreams of Alexa.CameraStreamController
// (https://developer.amazon.com/docs/device-apis/alexa-camerastreamcontroller.html, "Response").
type alexaStream struct {
	URI            string          `json:"uri"`
	ExpirationTime string          `json:"expirationTime"`
	IdleTimeout    int             `json:"idleTimeoutSeconds"`
	Protocol       string          `json:"protocol"`
	Resolution     alexaResolution `json:"resolution"`
	Authorization  string          `json:"authorizationType"`
	VideoCodec     string          `json:"videoCodec"`
	AudioCodec     string          `json:"audioCodec"`
}

type alexaResolution struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// alexaOffer is what a skill, or the plugin Alexa4P3, is told of a stream.
type alexaOffer struct {
	token, host string
	resolution  alexaResolution
	audio       string
}

// offerStream describes a stream by what is known of it; 1280×720 with H.264 stands for what is not known.
func offerStream(token, host string, s cameraStatus, dropAudio bool) alexaOffer {
	o := alexaOffer{token: token, host: host, resolution: alexaResolution{1280, 720}, audio: "NONE"}
	if v, ok := s.video(); ok && v.Width > 0 && v.Height > 0 {
		o.resolution = alexaResolution{v.Width, v.Height}
	}
	if a, ok := s.audio(); ok && !dropAudio && alexaAudio(a.Codec) != "" {
		o.audio = alexaAudio(a.Codec)
	}
	return o
}

// path is the stream's address without its scheme.
func (o alexaOffer) path() string { return o.host + ":" + alexaPort + "/t/" + o.token }

// cameraStreams is the JSON of a stream for a skill. The device asks the skill each time, so a day is long enough; the
// token itself does not expire.
func (o alexaOffer) cameraStreams(now time.Time) (string, error) {
	return indented(map[string][]alexaStream{"cameraStreams": {{
		URI: "rtsp://" + o.path(), ExpirationTime: now.UTC().Add(24 * time.Hour).Format(time.RFC3339), IdleTimeout: 30,
		Protocol: "RTSP", Resolution: o.resolution, Authorization: "NONE", VideoCodec: "H264", AudioCodec: o.audio,
	}}})
}

func indented(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode for Alexa: %w", err)
	}
	return strings.TrimSpace(b.String()), nil
}

// alexaItem is a camera as an item of the plugin Alexa4P3 for SmartHomeNG. The plugin puts rtsp:// before the addresses
// of alexa_csc_uri; alexa_csc_proxy_uri, which is for AlexaCamProxy4P3 alone, must not be there.
func alexaItem(cam settings.Camera, offers []alexaOffer) (string, error) {
	var b strings.Builder
	name := yamlText(cam.Name)
	fmt.Fprintf(&b, "%s:\n", strings.ReplaceAll(cam.ID, "-", "_"))
	for _, line := range [][2]string{
		{"alexa_device", yamlText(cam.ID)}, {"alexa_name", name}, {"alexa_description", name},
		{"alexa_icon", "CAMERA"}, {"alexa_actions", "InitializeCameraStreams"},
	} {
		fmt.Fprintf(&b, "    %s: %s\n", line[0], line[1])
	}
	uris := map[string]string{}
	var streams []string
	for i, o := range offers {
		uris[fmt.Sprintf("Stream%d", i+1)] = o.path()
		stream, err := compact(map[string]any{
			"protocols": []string{"RTSP"}, "resolutions": []alexaResolution{o.resolution}, "authorizationTypes": []string{"NONE"},
			"videoCodecs": []string{"H264"}, "audioCodecs": []string{o.audio},
		})
		if err != nil {
			return "", err
		}
		streams = append(streams, fmt.Sprintf("    alexa_stream_%d: %s\n", i+1, yamlText(stream)))
	}
	all, err := compact(uris)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "    alexa_csc_uri: %s\n%s", yamlText(all), strings.Join(streams, ""))
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func compact(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode for Alexa4P3: %w", err)
	}
	return string(b), nil
}

// yamlText quotes a text of one line for YAML: between single quotes only they are special (YAML 1.2 section 7.3.2).
func yamlText(s string) string {
	return "'" + strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "'", "''") + "'"
}
