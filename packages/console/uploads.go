package main

import (
	"net/http"
	"os"
	"path/filepath"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/library"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
)

func (c *console) uploadRoutes() []route {
	return []route{
		{"OPTIONS /uploads/{$}", editor, c.upload},
		{"POST /uploads/{$}", editor, c.upload},
		{"OPTIONS /uploads/{upload}", editor, c.upload},
		{"HEAD /uploads/{upload}", editor, c.upload},
		{"PATCH /uploads/{upload}", editor, c.upload},
		{"POST /uploads/{upload}", editor, c.upload},
		{"DELETE /uploads/{upload}", editor, c.upload},
		{"GET /media/status", editor, c.uploadStatus},
		{"GET /media/{id}/file", editor, c.media((*library.Library).ServeFile)},
		{"GET /media/{id}/thumb.jpg", editor, c.media((*library.Library).ServeThumb)},
	}
}

// libraryOptions say where the library's files lie.
func (c *console) libraryOptions(o Options) library.Options {
	return library.Options{
		Log: c.log, Dir: filepath.Join(o.Env.PermDir, "console"), Index: c.signage, Decoder: o.Decoder, Libraries: o.Libraries,
	}
}

// decoderPrograms are what starts when the library looks into a video: the decoder's child is this program first.
func decoderPrograms(needs *daemon.Needs, decoder string, libraries []string) {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	needs.Execute = append(append(needs.Execute, decoder, self), libraries...)
}

func (c *console) upload(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.library.ServeUploads(w, r, id.User)
}

func (c *console) uploadStatus(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.library.StatusOf(w, r, id.User)
}

// media serves a part of the medium that the path names.
func (c *console) media(serve func(*library.Library, http.ResponseWriter, *http.Request, signage.Media)) userHandler {
	return func(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
		if m, ok := c.findMedium(w, r); ok {
			serve(c.library, w, r, m)
		}
	}
}
