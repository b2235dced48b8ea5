-- The signage server. Times are seconds since 1970-01-01 UTC unless the name says otherwise; 0 means never.

CREATE TABLE media (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	sha256      TEXT NOT NULL,               -- hex; the file's name in /perm/console/media
	size_bytes  INTEGER NOT NULL,
	name        TEXT NOT NULL UNIQUE,        -- a file name, safe on every file system
	kind        TEXT NOT NULL CHECK (kind IN ('image', 'video')),
	mime        TEXT NOT NULL,
	width       INTEGER NOT NULL,
	height      INTEGER NOT NULL,
	duration_ms INTEGER NOT NULL,            -- 0 for a still picture
	probe       TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(probe)),
	parent      INTEGER NOT NULL DEFAULT 0,  -- the medium that this is an edited version of
	version     INTEGER NOT NULL DEFAULT 1,
	created     INTEGER NOT NULL,
	created_by  TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX media_sha256 ON media (sha256);

-- What people edit has stage 'draft'; what players get has stage 'live'. Publishing copies the one over the other.
CREATE TABLE playlists (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	name       TEXT NOT NULL UNIQUE,
	version    INTEGER NOT NULL DEFAULT 0,   -- grows with every publication
	changed    INTEGER NOT NULL DEFAULT 0,   -- the draft differs from what is live
	transition TEXT NOT NULL DEFAULT 'cut' CHECK (transition IN ('cut', 'crossfade')),
	created    INTEGER NOT NULL,
	published  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A live item is a copy of a draft item and knows it as origin: the items that people and players see keep their ids.
CREATE TABLE playlist_items (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	origin      INTEGER NOT NULL DEFAULT 0,  -- 0 of a draft item
	playlist    INTEGER NOT NULL REFERENCES playlists (id) ON DELETE CASCADE,
	stage       TEXT NOT NULL CHECK (stage IN ('draft', 'live')),
	position    INTEGER NOT NULL,            -- counts from 1
	kind        TEXT NOT NULL CHECK (kind IN ('media', 'camera', 'stream', 'text')),
	media       INTEGER REFERENCES media (id) ON DELETE RESTRICT,
	camera      TEXT NOT NULL DEFAULT '',
	url         TEXT NOT NULL DEFAULT '',
	text        TEXT NOT NULL DEFAULT '',
	duration_ms INTEGER NOT NULL,            -- 0: a video's own length
	fit         TEXT NOT NULL DEFAULT 'fit' CHECK (fit IN ('fit', 'fill', 'stretch')),
	description TEXT NOT NULL DEFAULT '',
	CHECK ((kind = 'media') = (media IS NOT NULL)),
	CHECK ((stage = 'draft') = (origin = 0))
) STRICT;
CREATE INDEX playlist_items_playlist ON playlist_items (playlist, stage, position);
CREATE INDEX playlist_items_media ON playlist_items (media);

CREATE TABLE player_groups (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	name     TEXT NOT NULL UNIQUE,
	playlist INTEGER REFERENCES playlists (id) ON DELETE SET NULL
) STRICT;

CREATE TABLE players (
	id                INTEGER PRIMARY KEY AUTOINCREMENT,
	name              TEXT NOT NULL,
	hostname          TEXT NOT NULL UNIQUE,
	own               INTEGER NOT NULL DEFAULT 0,  -- this device's own screen; at most one
	player_group      INTEGER REFERENCES player_groups (id) ON DELETE SET NULL,
	playlist          INTEGER REFERENCES playlists (id) ON DELETE SET NULL, -- before the group's
	orientation       TEXT NOT NULL DEFAULT 'landscape'
		CHECK (orientation IN ('landscape', 'portrait', 'landscape-flipped', 'portrait-flipped')),
	quickconnect_hash TEXT NOT NULL DEFAULT '',    -- argon2id, PHC string; empty: none
	password_hash     TEXT NOT NULL DEFAULT '',
	plain_http        INTEGER NOT NULL DEFAULT 0,  -- may come without TLS, from the local network
	may_edit          INTEGER NOT NULL DEFAULT 1,  -- may send edited pictures
	enabled           INTEGER NOT NULL DEFAULT 1,
	created           INTEGER NOT NULL,
	last_seen         INTEGER NOT NULL DEFAULT 0,  -- kept in memory, written now and then
	address           TEXT NOT NULL DEFAULT '',
	agent             TEXT NOT NULL DEFAULT '',    -- what it says it is, with its version
	status            TEXT NOT NULL DEFAULT '',
	message           TEXT NOT NULL DEFAULT '',
	item              TEXT NOT NULL DEFAULT '',    -- what it says it shows
	playing_version   INTEGER NOT NULL DEFAULT 0,
	screenshot        INTEGER NOT NULL DEFAULT 0   -- when its last picture came
) STRICT;
CREATE UNIQUE INDEX players_own ON players (own) WHERE own = 1;

CREATE TABLE player_auth_codes (
	hash    BLOB PRIMARY KEY,                -- SHA-256 of the code
	player  INTEGER NOT NULL REFERENCES players (id) ON DELETE CASCADE,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX player_auth_codes_player ON player_auth_codes (player);

-- What a player that knows only "the playlist now" was told last. Its version grows whenever the content is another.
CREATE TABLE player_shown (
	player  INTEGER PRIMARY KEY REFERENCES players (id) ON DELETE CASCADE,
	version INTEGER NOT NULL,
	hash    TEXT NOT NULL
) STRICT;

-- A rule without a group and without a player is for all.
CREATE TABLE schedule_rules (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	name         TEXT NOT NULL,
	playlist     INTEGER NOT NULL REFERENCES playlists (id) ON DELETE CASCADE,
	player_group INTEGER REFERENCES player_groups (id) ON DELETE CASCADE,
	player       INTEGER REFERENCES players (id) ON DELETE CASCADE,
	from_date    TEXT NOT NULL DEFAULT '',   -- YYYY-MM-DD, inclusive; empty: open
	to_date      TEXT NOT NULL DEFAULT '',
	from_minute  INTEGER NOT NULL,           -- of the day, 0 to 1439
	to_minute    INTEGER NOT NULL,           -- exclusive, 1 to 1440; not after from_minute: ends on the next day
	weekdays     INTEGER NOT NULL,           -- bit 0 is Monday; of the day on which it begins
	priority     INTEGER NOT NULL DEFAULT 1, -- 1 to 9, the highest wins; then the more special target, then the later id
	enabled      INTEGER NOT NULL DEFAULT 1,
	CHECK (player_group IS NULL OR player IS NULL)
) STRICT;

-- What goes before everything else for a while. Its content is a playlist, or a text.
CREATE TABLE interrupts (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	playlist     INTEGER REFERENCES playlists (id) ON DELETE CASCADE,
	text         TEXT NOT NULL DEFAULT '',
	player_group INTEGER REFERENCES player_groups (id) ON DELETE CASCADE,
	player       INTEGER REFERENCES players (id) ON DELETE CASCADE,
	begins       INTEGER NOT NULL,
	ends         INTEGER NOT NULL,
	created_by   TEXT NOT NULL DEFAULT '',
	CHECK ((playlist IS NULL) <> (text = '')),
	CHECK (player_group IS NULL OR player IS NULL)
) STRICT;

-- Bounded: the last 500 of a player.
CREATE TABLE player_feedback (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	player   INTEGER NOT NULL REFERENCES players (id) ON DELETE CASCADE,
	message_id TEXT NOT NULL DEFAULT '',     -- the player's own, so that a repetition is not kept twice
	at       INTEGER NOT NULL,               -- by the player's clock; 0 when it named none
	received INTEGER NOT NULL,
	status   TEXT NOT NULL,
	message  TEXT NOT NULL,
	item     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX player_feedback_player ON player_feedback (player, id);
CREATE UNIQUE INDEX player_feedback_once ON player_feedback (player, message_id) WHERE message_id <> '';
