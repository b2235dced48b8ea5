// Package link connects the screen to its signage server: this device's own over a socket, another Porthole, or any server
// that speaks the DigiServer contract. It brings programs and media, and takes reports there, however long that takes.
package link

import "time"

// Kind is what a server is.
type Kind string

// The kinds.
const (
	Own        Kind = "own"        // this device
	Porthole   Kind = "porthole"   // another one of ours: it answers with a whole program
	DigiServer Kind = "digiserver" // an original server: it answers with the playlist now
)

// State is what the link can say, for player.sock.
type State struct {
	Kind Kind `json:"kind,omitempty"`
	// Server is its address, empty for this device's own.
	Server string `json:"server,omitempty"`
	// Connected says that the last call went well; LastContact is when one last did.
	Connected   bool      `json:"connected"`
	LastContact time.Time `json:"last_contact,omitzero"`
	// Problem is a sentence that says what is wrong, Step one that says what to do; both are empty while all is well.
	Problem string `json:"problem,omitempty"`
	Step    string `json:"step,omitempty"`
	// Cause tells problems apart: "refused", "network", "tls", "trust", "auth", "empty", "server", "" for none.
	Cause string `json:"cause,omitempty"`
	// Attempts counts those since the last that went well; Next is when the next one is due.
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	// PlayerID and PlayerName are the server's for this screen.
	PlayerID   int64  `json:"player_id,omitempty"`
	PlayerName string `json:"player_name,omitempty"`
	// PairingCode is to be typed at PairingURI, while the server waits for that.
	PairingCode string `json:"pairing_code,omitempty"`
	PairingURI  string `json:"pairing_uri,omitempty"`
	// Fingerprint is the SHA-256 of the certificate that the server showed last, in hex with colons. Trust says how it is trusted:
	// "public", "pinned ca", "pinned key", "preset", "" for not.
	Fingerprint string `json:"fingerprint,omitempty"`
	Trust       string `json:"trust,omitempty"`
	// Pending is the fingerprint of another certificate that waits for approval.
	Pending string `json:"pending,omitempty"`
	// Spooled counts reports that the server has not got yet, Lost those that the bound of the spool has cost.
	Spooled int `json:"spooled"`
	Lost    int `json:"lost"`
}
