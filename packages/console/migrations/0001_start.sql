-- Times are seconds since 1970-01-01 UTC.
CREATE TABLE settings (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Grows with every change that another process may want to know of.
INSERT INTO settings (key, value) VALUES ('revision', '1');

CREATE TABLE accounts (
	name    TEXT PRIMARY KEY,
	hash    TEXT NOT NULL,      -- argon2id, PHC string
	role    TEXT NOT NULL CHECK (role IN ('admin', 'editor', 'viewer')),
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
	token   BLOB PRIMARY KEY,   -- SHA-256 of the cookie's value
	data    BLOB NOT NULL,
	expires INTEGER NOT NULL,
	ended   INTEGER NOT NULL DEFAULT 0 -- logged out: a request still under way must not bring it back
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_expires ON sessions (expires);

-- Shown in the order of their addition (rowid).
CREATE TABLE cameras (
	id        TEXT PRIMARY KEY,
	name      TEXT NOT NULL,
	url       TEXT NOT NULL,
	user      TEXT NOT NULL,
	password  TEXT NOT NULL,
	transport TEXT NOT NULL CHECK (transport IN ('auto', 'tcp', 'udp'))
) STRICT;

-- The account of RTSP clients; its password is shown to admins, so it is kept as it is.
CREATE TABLE stream_account (
	only     INTEGER PRIMARY KEY CHECK (only = 1),
	user     TEXT NOT NULL,
	password TEXT NOT NULL
) STRICT;

CREATE TABLE secrets (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Values are JSON.
CREATE TABLE player_settings (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL CHECK (json_valid(value))
) STRICT, WITHOUT ROWID;

-- Provisioning files that were applied: each is applied once. Problems is JSON, shown until dismissed.
CREATE TABLE provisions (
	digest    TEXT PRIMARY KEY,
	applied   INTEGER NOT NULL,
	problems  TEXT NOT NULL CHECK (json_valid(problems)),
	dismissed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
