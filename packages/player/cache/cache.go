// Package cache keeps a program and the media it needs, so that the screen plays without network for as long as it must.
// Media are kept by content, downloaded beside and renamed once they are verified. A program is taken as a whole: the old
// one stays until everything of the new one is here.
package cache

import (
	"context"
	"errors"
	"io"
	"time"
)

// Source is where media come from (link.Link).
type Source interface {
	// Get opens a medium from an offset in bytes on. From says where the answer really begins: 0 where the server cannot resume.
	// Size is the medium's, -1 where the server does not say. Tag is the entity tag; a download is resumed only where it is
	// still the same. Errors: ErrGone when the server does not have it (any more), ErrServer when it answered with a failure
	// of its own; any other means that it could not be reached, and is waited out.
	Get(ctx context.Context, url string, offset int64, tag string) (*Part, error)
}

// What a Source says besides.
var (
	// ErrGone means that the server does not have the medium (any more): 404, 410.
	ErrGone = errors.New("the server does not have it any more")
	// ErrServer means that the server was there and did not hand the medium out: 403, 416, 500 and the like.
	ErrServer = errors.New("the server does not hand it out")
)

// Part is an answer to Get. The caller closes Body.
type Part struct {
	Body       io.ReadCloser
	From, Size int64
	// Tag is the entity tag (else Last-Modified), as the server wrote it; empty where it sends neither.
	Tag string
}

// State is what the cache can say, for player.sock.
type State struct {
	// Revision is that of the program that plays, Coming that of one whose media are being fetched, 0 for none.
	Revision int64 `json:"revision"`
	Coming   int64 `json:"coming,omitempty"`
	// Files and Bytes are of media that are here, Missing and MissingBytes of those that are still to come.
	Files        int   `json:"files"`
	Bytes        int64 `json:"bytes"`
	Missing      int   `json:"missing"`
	MissingBytes int64 `json:"missing_bytes"`
	// Limit bounds Bytes.
	Limit int64 `json:"limit"`
	// Fetching is the name of the medium that comes in now, Done and Size how much of it.
	Fetching string `json:"fetching,omitempty"`
	Done     int64  `json:"done,omitempty"`
	Size     int64  `json:"size,omitempty"`
	// Problem says in a sentence what is in the way, or is empty.
	Problem string `json:"problem,omitempty"`
	// Failed are media that were given up for now, with why.
	Failed []Failed `json:"failed,omitempty"`
}

// Failed is a medium that could not be had.
type Failed struct {
	Name   string    `json:"name"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}
