package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"porthole/packages/internal/keypair"
	"porthole/packages/internal/provision"
)

// provisionedFile is a certificate's file from the boot partition.
type provisionedFile struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

// provisionCertificate puts the certificate whose files lay on the boot partition into service. An error means that system
// could not do it now and has to be asked again; what is wrong with the files is a problem for their owner.
func (c *console) provisionCertificate(ctx context.Context, p provisioning) ([]provision.Problem, error) {
	if len(p.Files) == 0 {
		return nil, nil
	}
	var names []string
	var blobs [][]byte
	for _, f := range p.Files {
		names, blobs = append(names, f.Name), append(blobs, f.Content)
	}
	pair, err := keypair.Parse(p.Provision.CertificatePassword, time.Now(), blobs...)
	if err == nil {
		err = c.publish(ctx, ownName(pair), pair, "the card", "from "+strings.Join(names, ", ")+" on the boot partition")
	}
	refusal, ok := errors.AsType[*keypair.Refusal](err)
	if !ok {
		return nil, err
	}
	problem := provision.Problem{Key: strings.Join(names, ", "), Reason: "the certificate is left out, and its files stay on the card. " + refusal.Reason}
	if refusal.AboutPassword() {
		problem.Reason = "the certificate is left out: its file is encrypted, and the password is missing or wrong. It stays on the card: put its password into porthole.toml there, below a line [certificate], or delete the file and upload it on the page Certificate."
	}
	return []provision.Problem{problem}, nil
}
