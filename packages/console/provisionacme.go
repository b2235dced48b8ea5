package main

import (
	"context"
	"database/sql"
	"reflect"
	"strings"

	"porthole/packages/console/acme"
	"porthole/packages/internal/provision"
)

// provisionACME takes what the file says of a certificate; the rest stays as it is, and so do secrets that were taken over
// before.
func provisionACME(ctx context.Context, tx *sql.Tx, f provision.ACME) (problems []provision.Problem, err error) {
	if f.Empty() {
		return nil, nil
	}
	kept, err := acme.LoadSettings(ctx, acmeValues{tx})
	if err != nil {
		return nil, err
	}
	s, wrong := mergeACME(kept, f).KeepSecrets(kept).Normalize()
	for _, w := range wrong {
		problems = append(problems, provision.Problem{Key: "acme." + acmeKey(w.Field), Reason: w.Reason + "; the section is left out"})
	}
	// The same file comes again without its secrets: what is under way for it goes on.
	if len(problems) > 0 || reflect.DeepEqual(s, kept) {
		return problems, nil
	}
	return nil, setACME(ctx, tx, s, auditEntry{Who: provision.Name, Area: auditCertificates, What: "asked for a certificate for " + strings.Join(s.Names, ", ") + " from " + caText(s)})
}

// mergeACME sets s to what the file says.
func mergeACME(s acme.Settings, f provision.ACME) acme.Settings {
	text := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	toggle := func(to *bool, v *bool) {
		if v != nil {
			*to = *v
		}
	}
	if len(f.Names) > 0 {
		s.Names = f.Names
	}
	text(&s.Email, f.Email)
	text(&s.Directory, f.Directory)
	text(&s.RootPEM, f.Root)
	text((*string)(&s.Proof), f.Proof)
	if f.Provider != "" {
		s.Provider, s.Fields = f.Provider, f.DNS
		if f.Proof == "" {
			s.Proof = acme.ByDNS
		}
	}
	text(&s.EABKey, f.EABKey)
	text(&s.EABMAC, f.EABMAC)
	toggle(&s.Staging, f.Staging)
	toggle(&s.RSA, f.RSA)
	toggle(&s.Agreed, f.Agreed)
	return s
}

// acmeKey is the name that a field has in the file.
func acmeKey(field string) string {
	switch field {
	case "agreed":
		return "agree_to_terms"
	case "root_pem":
		return "root"
	}
	if key, ok := strings.CutPrefix(field, "field_"); ok {
		return "dns_" + key
	}
	return field
}
