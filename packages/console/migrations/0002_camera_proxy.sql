-- JSON as in settings.Camera.
ALTER TABLE cameras ADD COLUMN more_urls TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(more_urls));
ALTER TABLE cameras ADD COLUMN auth      TEXT NOT NULL DEFAULT 'any' CHECK (auth IN ('any', 'digest', 'basic', 'none'));
ALTER TABLE cameras ADD COLUMN always_on INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cameras ADD COLUMN options   TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(options));

-- What stands for a stream in rtsps://HOST/t/TOKEN. Built-in cameras have no row in cameras and have tokens too.
CREATE TABLE stream_tokens (
	camera TEXT NOT NULL,
	stream INTEGER NOT NULL,    -- counts from 1
	token  TEXT NOT NULL UNIQUE,
	made   INTEGER NOT NULL,
	PRIMARY KEY (camera, stream)
) STRICT, WITHOUT ROWID;

-- RTSP clients' accounts besides the first, which stream_account holds.
CREATE TABLE rtsp_accounts (
	user     TEXT PRIMARY KEY,
	password TEXT NOT NULL,
	made     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO settings (key, value) VALUES ('plain_http', '1'), ('signaling_port', '1'), ('test_socket', '0')
	ON CONFLICT (key) DO NOTHING;
