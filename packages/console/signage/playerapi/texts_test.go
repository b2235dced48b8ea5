package playerapi_test

import (
	"bytes"
	"image"
	"image/png"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"porthole/packages/console/signage"
)

// TestTexts: a text comes as a picture, in the screen's orientation; what players of the contract cannot show is left out.
func TestTexts(t *testing.T) {
	s := newServer(t)
	list := s.playlist("A", []string{"a.jpg"}, signage.Item{Kind: signage.ItemText, Text: "Closed on Monday", Duration: 7500 * time.Millisecond},
		signage.Item{Kind: signage.ItemCamera, Camera: "demo"}, signage.Item{Kind: signage.ItemStream, URL: "rtsp://10.0.0.1/s"})
	s.player("player1", func(p *signage.Player) { p.Playlist, p.Orientation = list.ID, "portrait" })
	var got playlist
	s.do("GET", legacy, "").want(200).into(&got)
	if got.Count != 2 || len(got.LeftOut) != 2 || got.LeftOut[0].Type != "camera" || got.LeftOut[1].Type != "stream" {
		t.Fatalf("%+v", got)
	}
	text := got.Playlist[1]
	if text.Type != "image" || text.Duration != 8 || text.Position != 2 || text.Description != "Closed on Monday" || !strings.HasSuffix(text.FileName, ".png") {
		t.Errorf("%+v", text)
	}
	fetch := func(i playlistItem) image.Image {
		t.Helper()
		u, err := url.Parse(i.URL)
		if err != nil {
			t.Fatal(err)
		}
		a := s.do("GET", u.RequestURI(), "").want(200)
		if int64(len(a.body)) != i.Size || a.header.Get("ETag") != `"`+i.SHA256+`"` || a.header.Get("Content-Type") != "image/png" {
			t.Errorf("%d bytes, %v", len(a.body), a.header)
		}
		m, err := png.Decode(bytes.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := fetch(text); m.Bounds().Dx() != 1080 || m.Bounds().Dy() != 1920 {
		t.Errorf("%v", m.Bounds())
	}
	// Its address is good after a restart, too, before anybody asked for the playlist.
	s.restart()
	fetch(text)
	interrupt := signage.Interrupt{Text: "Leave the building now", Begins: time.Now().Add(-time.Second), Ends: time.Now().Add(time.Hour)}
	if _, err := s.store.CreateInterrupt(t.Context(), interrupt); err != nil {
		t.Fatal(err)
	}
	before := got.Version
	s.do("GET", legacy, "").want(200).into(&got)
	if got.Version <= before || got.Count != 1 || got.Playlist[0].Description != interrupt.Text {
		t.Errorf("%+v", got)
	}
	fetch(got.Playlist[0])
}

// TestManyTexts: of a long playlist of texts each picture can be had, also those that are not kept.
func TestManyTexts(t *testing.T) {
	s := newServer(t)
	var items []signage.Item
	for i := range 40 {
		items = append(items, signage.Item{Kind: signage.ItemText, Text: "text " + strconv.Itoa(i)})
	}
	list := s.playlist("Texts", nil, items...)
	s.player("player1", func(p *signage.Player) { p.Playlist = list.ID })
	var got playlist
	s.do("GET", legacy, "").want(200).into(&got)
	for _, n := range []int{0, 39, 1} {
		u, err := url.Parse(got.Playlist[n].URL)
		if err != nil {
			t.Fatal(err)
		}
		a := s.do("GET", u.RequestURI(), "").want(200)
		if int64(len(a.body)) != got.Playlist[n].Size || a.header.Get("ETag") != `"`+got.Playlist[n].SHA256+`"` {
			t.Errorf("%d: %d bytes, %v", n, len(a.body), a.header)
		}
	}
}
