package main

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"porthole/packages/internal/settings"
)

// rtspRealm is the Digest realm that some Echos have built in.
const rtspRealm = "Streaming Server"

// The bounds of an RTSP account's password, in bytes.
const (
	minRTSPPassword = 8
	maxRTSPPassword = 64
)

var (
	// rtspUser has no colon (RFC 7617 section 2) and nothing that an address or a YAML file would need escapes for.
	rtspUser     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
	rtspPassword = regexp.MustCompile(`^[!-~]+$`)
)

// errNoAccount means that there is no RTSP account of that name.
var errNoAccount = errors.New("no such RTSP account")

// streamAccount is what RTSP clients log in with.
type streamAccount struct{ user, password string }

// forProxy is what proxy checks logins with, without the password: HA1 for MD5 (RFC 2617 section 3.2.2.2) and for
// SHA-256 (RFC 7616 section 3.4.2).
func (a streamAccount) forProxy() settings.Account {
	a1 := []byte(a.user + ":" + rtspRealm + ":" + a.password)
	short, long := md5.Sum(a1), sha256.Sum256(a1)
	return settings.Account{User: a.user, HA1: hex.EncodeToString(short[:]), HA1SHA256: hex.EncodeToString(long[:])}
}

// check reports what is wrong with the account, as *settings.FieldErrors.
func (a streamAccount) check() (user, password error) {
	if !rtspUser.MatchString(a.user) {
		user = &settings.FieldError{Field: "user", Reason: "use 1 to 32 letters a to z, digits, dots, hyphens and underscores, beginning with a letter or digit"}
	}
	switch n := len(a.password); {
	case n < minRTSPPassword || n > maxRTSPPassword:
		password = &settings.FieldError{Field: "password", Reason: fmt.Sprintf("use %d to %d characters, or leave it empty for one that is made for you", minRTSPPassword, maxRTSPPassword)}
	case !rtspPassword.MatchString(a.password):
		password = &settings.FieldError{Field: "password", Reason: "use only letters a to z, digits and the signs of an English keyboard, without spaces: devices disagree on how others are written"}
	}
	return user, password
}

// newRTSPPassword returns 100 random bits. Lower case: it is typed on phones and remote controls.
func newRTSPPassword() string { return strings.ToLower(rand.Text()[:20]) }

// vlcTrips says whether VLC would take a part of an account for something else.
func vlcTrips(texts ...string) bool {
	for _, t := range texts {
		if strings.Contains(strings.ToLower(t), "proxy") {
			return true
		}
	}
	return false
}

// streamAccount returns the first account, which every device has.
func (s *store) streamAccount(ctx context.Context, q querier) (streamAccount, error) {
	var a streamAccount
	if err := q.QueryRowContext(ctx, "SELECT user, password FROM stream_account").Scan(&a.user, &a.password); err != nil {
		return streamAccount{}, fmt.Errorf("read stream account: %w", err)
	}
	return a, nil
}

// streamAccounts returns all accounts of RTSP clients, the first one first.
func (s *store) streamAccounts(ctx context.Context, q querier) ([]streamAccount, error) {
	first, err := s.streamAccount(ctx, q)
	if err != nil {
		return nil, err
	}
	list := []streamAccount{first}
	rows, err := q.QueryContext(ctx, "SELECT user, password FROM rtsp_accounts ORDER BY user")
	if err != nil {
		return nil, fmt.Errorf("read RTSP accounts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a streamAccount
		if err := rows.Scan(&a.user, &a.password); err != nil {
			return nil, fmt.Errorf("read RTSP account: %w", err)
		}
		if a.user != first.user {
			list = append(list, a)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read RTSP accounts: %w", err)
	}
	return list, nil
}

// putStreamAccount adds an account, or gives the one of that name the password.
func putStreamAccount(ctx context.Context, tx *sql.Tx, a streamAccount) error {
	res, err := tx.ExecContext(ctx, "UPDATE stream_account SET password = ? WHERE user = ?", a.password, a.user)
	if err != nil {
		return fmt.Errorf("keep RTSP account %s: %w", a.user, err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO rtsp_accounts (user, password, made) VALUES (?, ?, ?) ON CONFLICT (user) DO UPDATE SET password = excluded.password",
		a.user, a.password, time.Now().Unix())
	if err != nil {
		return fmt.Errorf("keep RTSP account %s: %w", a.user, err)
	}
	return nil
}

// deleteStreamAccount forgets an account; errNoAccount when there is none of that name besides the first.
func (s *store) deleteStreamAccount(ctx context.Context, user string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM rtsp_accounts WHERE user = ?", user)
		if err != nil {
			return fmt.Errorf("delete RTSP account %s: %w", user, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(errNoAccount, err)
		}
		return nil
	})
}
