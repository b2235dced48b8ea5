package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// liveKey is where settings.Live is kept, the relay's secret included: the database is console's alone.
const liveKey = "live"

func readLive(ctx context.Context, q querier) (l settings.Live, err error) {
	v, err := setting(ctx, q, liveKey)
	if err != nil || v == "" {
		return l, err
	}
	if err := json.Unmarshal([]byte(v), &l); err != nil {
		return l, fmt.Errorf("decode setting %s: %w", liveKey, err)
	}
	return l, nil
}

func putLive(ctx context.Context, tx *sql.Tx, l settings.Live) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode setting %s: %w", liveKey, err)
	}
	return setSetting(ctx, tx, liveKey, string(b))
}

// liveView is what signaling is told: the public name stands in for an address that nobody gave.
func liveView(ctx context.Context, q querier, publicName string) (settings.Live, error) {
	l, err := readLive(ctx, q)
	if l.PublicAddress == "" {
		l.PublicAddress = publicName
	}
	return l, err
}

// provisionLive takes what the file says of the live view; the rest stays as it is. A relay whose secret was taken over
// before keeps it.
func provisionLive(ctx context.Context, tx *sql.Tx, f provision.Live) (problems []provision.Problem, err error) {
	if f.Empty() {
		return nil, nil
	}
	l, err := readLive(ctx, tx)
	if err != nil {
		return nil, err
	}
	f.Apply(&l)
	l, wrong := l.Normalize()
	if len(wrong) == 0 {
		return nil, putLive(ctx, tx, l)
	}
	// The file's own mistakes were found when it was read: what is left is a relay whose secret nobody knows.
	for _, w := range wrong {
		problems = append(problems, provision.Problem{Key: "live." + w.Field, Reason: w.Reason + "; the section is left out"})
	}
	return problems, nil
}
