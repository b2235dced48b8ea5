-- Whether certificates' files on the card were refused: they stay there.
ALTER TABLE provisions ADD COLUMN keep_files INTEGER NOT NULL DEFAULT 0;

-- The cameras a viewer may see, as a JSON list of ids; null means all.
ALTER TABLE accounts ADD COLUMN cameras TEXT NOT NULL DEFAULT 'null' CHECK (json_valid(cameras));

-- Whose session it is. Those from before do not say it, nor since when and where they are: everybody logs in once more.
DELETE FROM sessions;
ALTER TABLE sessions ADD COLUMN account TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_account ON sessions (account) WHERE ended = 0;

-- Tokens for programs (Authorization: Bearer). They end with the account that made them.
CREATE TABLE api_tokens (
	id      INTEGER PRIMARY KEY,
	hash    BLOB NOT NULL UNIQUE, -- SHA-256 of the token
	name    TEXT NOT NULL,
	account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
	scopes  TEXT NOT NULL CHECK (json_valid(scopes)),
	cameras TEXT NOT NULL DEFAULT 'null' CHECK (json_valid(cameras)),
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL DEFAULT 0, -- 0: never
	used    INTEGER NOT NULL DEFAULT 0  -- to the hour
) STRICT;

-- Who did what and when. Bounded: the oldest go first.
CREATE TABLE audit (
	id     INTEGER PRIMARY KEY,
	at     INTEGER NOT NULL,
	who    TEXT NOT NULL, -- an account, or a process of ours
	remote TEXT NOT NULL, -- an address, empty for processes
	area   TEXT NOT NULL CHECK (area IN ('certificates', 'trust', 'accounts', 'settings', 'device')),
	what   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);

-- What ACME keeps: account keys, orders, when to try again. Values are its own.
CREATE TABLE acme (
	key      TEXT PRIMARY KEY,
	value    BLOB NOT NULL,
	modified INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
