package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// provisionedAccounts returns the RTSP accounts of a file that may be kept, and what is wrong with the others.
func provisionedAccounts(asked []provision.Account) (accounts []streamAccount, problems []provision.Problem) {
	for _, a := range asked {
		acc := streamAccount{user: a.User, password: a.Password}
		user, password := acc.check()
		if a.Password == "" {
			password = nil // it keeps the one it has
		}
		if err := errors.Join(user, password); err != nil {
			fe, _ := errors.AsType[*settings.FieldError](err)
			problems = append(problems, provision.Problem{Key: "account." + fe.Field, Reason: fe.Reason + "; the account " + quoted(a.User) + " is left out"})
			continue
		}
		accounts = append(accounts, acc)
	}
	return accounts, problems
}

func quoted(s string) string { return fmt.Sprintf("%.40q", s) }

// provisionAccounts adds accounts and sets passwords. One without a password is one whose password was taken over
// before; if there is none of that name, it is a problem.
func provisionAccounts(ctx context.Context, tx *sql.Tx, accounts []streamAccount) (problems []provision.Problem, err error) {
	for _, a := range accounts {
		if a.password != "" {
			if err := putStreamAccount(ctx, tx, a); err != nil {
				return nil, err
			}
			continue
		}
		var known int
		err := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM stream_account WHERE user = ?1) + (SELECT count(*) FROM rtsp_accounts WHERE user = ?1)",
			a.user).Scan(&known)
		if err != nil {
			return nil, fmt.Errorf("look for RTSP account %s: %w", a.user, err)
		}
		if known == 0 {
			problems = append(problems, provision.Problem{Key: "account.password", Reason: "is missing; the account " + quoted(a.user) + " is left out"})
		}
	}
	return problems, nil
}

// provisionAccess takes what the file says of the way in; the rest stays as it is.
func provisionAccess(ctx context.Context, tx *sql.Tx, a provision.Access) error {
	p, err := readProxySettings(ctx, tx)
	if err != nil {
		return err
	}
	if a.PublicName != "" {
		p.PublicName = a.PublicName
	}
	if a.OnlyOwnNetwork != nil {
		p.Access.Restricted = *a.OnlyOwnNetwork
	}
	if len(a.Allowed) > 0 {
		// What provision lets through is right; this writes it as the pages do.
		if list, reason := checkAllowed(a.Allowed); reason == "" {
			p.Access.Allowed = list
		}
	}
	if len(a.TrustedProxies) > 0 {
		p.Access.TrustedProxies = a.TrustedProxies
	}
	return putProxySettings(ctx, tx, p)
}
