package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"porthole/packages/console/credential"
	"porthole/packages/internal/provision"
	"porthole/packages/internal/retry"
	"porthole/packages/internal/settings"
)

// provisioning is system's answer about porthole.toml.
type provisioning struct {
	Digest    string              `json:"digest"`
	Provision provision.File      `json:"provision"`
	Problems  []provision.Problem `json:"problems"`
	// Files are those of a certificate that lay beside it.
	Files []provisionedFile `json:"files"`
}

// provision takes what porthole.toml asks for, once per file, and tells system so. It tries until system has answered.
func (c *console) provision(ctx context.Context) error {
	for failures := 1; ; failures++ {
		err := c.provisionOnce(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if failures == 20 {
			c.log.Warn("cannot take provisioning from system yet", "err", err)
		}
		if !retry.Pause(ctx, retry.Backoff(failures, 200*time.Millisecond, 5*time.Second)) {
			return nil
		}
	}
}

func (c *console) provisionOnce(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var p provisioning
	status, err := c.backends.system.Call(call, http.MethodGet, "/provision", nil, &p)
	if status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	applied, keepFiles, err := c.applied(ctx, p.Digest)
	if err != nil {
		return err
	}
	if !applied {
		if keepFiles, err = c.applyProvision(ctx, p); err != nil {
			return err
		}
	}
	_, err = c.backends.system.Call(call, http.MethodPost, "/provision/taken", map[string]any{"digest": p.Digest, "keep_files": keepFiles}, nil)
	return err
}

// applied reports whether that was applied before, and whether its certificate's files were refused.
func (c *console) applied(ctx context.Context, digest string) (was, keepFiles bool, err error) {
	err = c.store.r.QueryRowContext(ctx, "SELECT keep_files FROM provisions WHERE digest = ?", digest).Scan(&keepFiles)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("look for provisioning %s: %w", digest, err)
	}
	return true, keepFiles, nil
}

// applyProvision takes everything in one transaction. Who can write the boot partition owns the device: a password in a
// new file replaces a forgotten one. keepFiles says that the certificate's files were refused: their owner may have no other
// copy of the key.
func (c *console) applyProvision(ctx context.Context, p provisioning) (keepFiles bool, err error) {
	hash, err := c.provisionedHash(ctx, p.Provision.AdminPassword)
	if err != nil {
		return false, err
	}
	cameras, refused := c.provisionedCameras(p.Provision.Cameras)
	problems := slices.Concat(p.Problems, refused)
	accounts, wrong := provisionedAccounts(p.Provision.Accounts)
	// The certificate and the screens go first, in their own transactions: if the rest fails, all of it is done once more.
	noCertificate, err := c.provisionCertificate(ctx, p)
	if err != nil {
		return false, fmt.Errorf("apply provisioning of the certificate: %w", err)
	}
	keepFiles = len(noCertificate) > 0
	noScreens, err := c.provisionScreens(ctx, p.Provision)
	if err != nil {
		return false, fmt.Errorf("apply provisioning of screens: %w", err)
	}
	found := slices.Concat(problems, wrong, noCertificate, noScreens)
	err = c.store.change(ctx, func(tx *sql.Tx) error {
		if p.Provision.Hostname != "" {
			if err := setSetting(ctx, tx, "hostname", p.Provision.Hostname); err != nil {
				return err
			}
		}
		if hash != "" {
			if err := setAdmin(ctx, tx, hash); err != nil {
				return err
			}
			if err := endLogins(ctx, tx, adminName); err != nil {
				return err
			}
		}
		if err := audited(ctx, tx, provisioned(p.Provision, hash != "")); err != nil {
			return err
		}
		if err := provisionCameras(ctx, tx, cameras); err != nil {
			return err
		}
		unknown, err := provisionAccounts(ctx, tx, accounts)
		if err != nil {
			return err
		}
		if err := provisionAccess(ctx, tx, p.Provision.Access); err != nil {
			return err
		}
		noRelay, err := provisionLive(ctx, tx, p.Provision.Live)
		if err != nil {
			return err
		}
		noTrust, err := provisionPlayer(ctx, tx, p.Provision.Player)
		if err != nil {
			return err
		}
		noCertificate, err := provisionACME(ctx, tx, p.Provision.ACME)
		if err != nil {
			return err
		}
		problems = slices.Concat(found, unknown, noRelay, noTrust, noCertificate)
		kept, err := json.Marshal(problems)
		if err != nil {
			return fmt.Errorf("encode problems: %w", err)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO provisions (digest, applied, problems, dismissed, keep_files) VALUES (?, ?, ?, ?, ?)",
			p.Digest, time.Now().Unix(), string(kept), len(problems) == 0, keepFiles)
		if err != nil {
			return fmt.Errorf("remember provisioning: %w", err)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("apply provisioning: %w", err)
	}
	if !p.Provision.ACME.Empty() {
		c.acme.Changed()
	}
	if err := c.ownScreen(ctx); err != nil {
		return false, fmt.Errorf("apply provisioning: %w", err)
	}
	c.log.Info("provisioning applied", "cameras", len(cameras), "accounts", len(accounts), "screens", len(p.Provision.Screens), "admin", hash != "", "problems", len(problems))
	for _, problem := range problems {
		c.log.Warn("provisioning: refused", "line", problem.Line, "key", problem.Key, "reason", problem.Reason)
	}
	return keepFiles, nil
}

// provisioned is what the audit log says of a file.
func provisioned(f provision.File, admin bool) auditEntry {
	e := auditEntry{Who: "porthole.toml", Area: auditSettings, What: fmt.Sprintf("was applied: %s, %s, %s",
		count(len(f.Cameras), "camera"), count(len(f.Accounts), "RTSP account"), count(len(f.Screens), "screen"))}
	if admin {
		e.Area, e.What = auditAccounts, e.What+", a new password for "+adminName
	}
	return e
}

// provisionedCameras returns the cameras of a file that may be kept, and what is wrong with the others.
func (c *console) provisionedCameras(asked []settings.Camera) (cameras []settings.Camera, problems []provision.Problem) {
	for _, cam := range asked {
		cam, err := cam.Normalize()
		if err == nil {
			err = c.checkID(cam.ID)
		}
		if err != nil {
			problem := provision.Problem{Key: "camera", Reason: err.Error()}
			if fe, ok := asFieldError(err); ok {
				problem = provision.Problem{Key: "camera." + fe.Field, Reason: fe.Reason}
			}
			problems = append(problems, problem)
			continue
		}
		cameras = append(cameras, cam)
	}
	return cameras, problems
}

// provisionedHash returns the hash to keep for the admin's password; empty when there is none, or when the admin has
// that password already: a new hash would end every session.
func (c *console) provisionedHash(ctx context.Context, password string) (string, error) {
	if password == "" {
		return "", nil
	}
	acc, ok, err := c.store.account(ctx, adminName)
	if err != nil {
		return "", err
	}
	if ok {
		same, err := c.hasher.Matches(ctx, credential.Line{Inside: true, Name: "porthole.toml"}, password, acc.hash)
		if err != nil || same {
			return "", err
		}
	}
	return c.hasher.Hash(ctx, password)
}

// provisionCameras adds and updates. system takes the passwords out of a file once they are taken here: a camera whose
// address is still the same keeps those it has.
func provisionCameras(ctx context.Context, tx *sql.Tx, cameras []settings.Camera) error {
	stored, err := storedCameras(ctx, tx)
	if err != nil {
		return err
	}
	had := map[string]settings.Camera{}
	for _, cam := range stored {
		had[cam.ID] = cam
	}
	for _, cam := range cameras {
		old := had[cam.ID]
		if cam.Password == "" && cam.URL == old.URL && (cam.User == "" || cam.User == old.User) {
			cam.User, cam.Password = old.User, old.Password
		}
		keepChosen(&cam, old)
		if err := putCamera(ctx, tx, cam); err != nil {
			return err
		}
	}
	return nil
}

// keepChosen leaves what was set in the pages as it is where the file says nothing of it and means the same camera.
func keepChosen(cam *settings.Camera, old settings.Camera) {
	if cam.URL != old.URL {
		return
	}
	if len(cam.MoreURLs) == 0 {
		cam.MoreURLs = old.MoreURLs
	}
	if cam.Auth == settings.AnyAuth {
		cam.Auth = old.Auth
	}
	if cam.Options == (settings.StreamOptions{}) {
		cam.Options = old.Options
	}
	cam.AlwaysOn = cam.AlwaysOn || old.AlwaysOn
}
