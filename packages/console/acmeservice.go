package main

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"porthole/packages/console/acme"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/keypair"
)

// acmePorts are the ports that console connects to: ACME servers and DNS providers on 443 and what is usual besides, name
// servers on 53.
func acmePorts() []uint16 { return []uint16{53, 80, 443, 8443, 9000, 14000} }

// maxValidations bounds the validation connections at once: a server sends a handful for each name.
const maxValidations = 32

// acmeAccount is who changed something in the audit log when nobody did but the passing of time.
const acmeAccount = "console"

// newACME makes what gets certificates from ACME servers.
func (c *console) newACME() *acme.Manager {
	return acme.New(acme.Options{
		Log: c.log, Keeper: acmeKeeper{c.store}, Publisher: acmePublisher{c}, Answers: c.answers,
		Version: daemon.Version(), Built: daemon.Built(), Port80: c.port80,
	})
}

// port80 reports whether the household has port 80 open.
func (c *console) port80() bool {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	p, err := readProxySettings(ctx, c.store.r)
	return err == nil && p.PlainHTTP
}

// acmeKeeper keeps what ACME needs in the table acme.
type acmeKeeper struct{ store *store }

// Load returns the value of a key, nil when there is none.
func (k acmeKeeper) Load(ctx context.Context, key string) ([]byte, error) {
	return acmeValues{k.store.r}.Load(ctx, key)
}

// acmeValues reads the table acme, in a transaction too.
type acmeValues struct{ q querier }

// Load returns the value of a key, nil when there is none.
func (a acmeValues) Load(ctx context.Context, key string) ([]byte, error) {
	var v []byte
	err := a.q.QueryRowContext(ctx, "SELECT value FROM acme WHERE key = ?", key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %q of certificates: %w", key, err)
	}
	return v, nil
}

// Save changes all of the keys or none.
func (k acmeKeeper) Save(ctx context.Context, changes map[string][]byte) error {
	return k.store.write(ctx, func(tx *sql.Tx) error { return putACME(ctx, tx, changes) })
}

func putACME(ctx context.Context, tx *sql.Tx, changes map[string][]byte) error {
	for key, v := range changes {
		var err error
		if v == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM acme WHERE key = ?", key)
		} else {
			_, err = tx.ExecContext(ctx, "INSERT INTO acme (key, value, modified) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified", key, v, time.Now().Unix())
		}
		if err != nil {
			return fmt.Errorf("keep %q of certificates: %w", key, err)
		}
	}
	return nil
}

// setACME keeps the settings and says so in the audit log. Afterwards c.acme.Changed is to be called.
func setACME(ctx context.Context, tx *sql.Tx, s acme.Settings, e auditEntry) error {
	changes, err := acme.NewSettings(s)
	if err != nil {
		return err
	}
	if err := putACME(ctx, tx, changes); err != nil {
		return err
	}
	return audited(ctx, tx, e)
}

// acmePublisher puts certificates in service through system.
type acmePublisher struct{ c *console }

// Publish hands a pair to system.
func (p acmePublisher) Publish(ctx context.Context, name string, chainPEM, keyPEM []byte, why string) error {
	pair, err := keypair.FromPEM(chainPEM, keyPEM, time.Now())
	if err != nil {
		return fmt.Errorf("check certificate from the ACME server: %w", err)
	}
	return p.c.publish(ctx, name, pair, acmeAccount, why)
}

// Unpublish takes a pair out of service.
func (p acmePublisher) Unpublish(ctx context.Context, name, why string) error {
	return p.c.unpublish(ctx, name, acmeAccount, why)
}

// Published asks system which leaves are in service.
func (p acmePublisher) Published(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	var said struct {
		Certificates []servedPair `json:"certificates"`
	}
	if _, err := p.c.backends.system.Call(ctx, http.MethodGet, "/certificate", nil, &said); err != nil {
		return nil, fmt.Errorf("ask system for certificates: %w", err)
	}
	leaves := map[string]string{}
	for _, pair := range said.Certificates {
		leaves[pair.Name] = pair.SHA256
	}
	return leaves, nil
}

// acmeRoots are the roots that somebody gave for an ACME server of their own; none for Let's Encrypt, which everybody trusts.
func (c *console) acmeRoots(ctx context.Context) ([]*x509.Certificate, error) {
	s, err := acme.LoadSettings(ctx, acmeValues{c.store.r})
	if err != nil || s.Empty() || s.RootPEM == "" {
		return nil, err
	}
	return acme.ParseRoots(s.RootPEM)
}

// serveChallenge answers a server that looks at a name by HTTP-01.
func (c *console) serveChallenge(w http.ResponseWriter, r *http.Request) {
	said, ok := c.answers.HTTP01(r.PathValue("token"))
	if !ok {
		http.Error(w, "No certificate authority’s check is under way here.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write([]byte(said))
}

// validations answers servers that look at a name by TLS-ALPN-01, as proxy relays them, until ctx ends. It closes l.
func (c *console) validations(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, maxValidations)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept validation: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-places }()
			if err := c.answers.ServeTLS(ctx, conn); err != nil {
				// Anybody can open such a connection: nothing to tell anybody of.
				c.log.Debug("validation not answered", "err", err)
			}
		})
	}
}
