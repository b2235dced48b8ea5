"""Puts screens, media and a playlist into a console's database that is not running.

usage: seed.py PERM SCREENS VIDEO_BYTES; prints the medium's SHA-256. The auth code of screen N is "bench-code-N".
"""
import hashlib, os, sqlite3, sys, time

perm, screens, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
now = int(time.time())
media = os.path.join(perm, "console", "media")
os.makedirs(media, exist_ok=True)
content = os.urandom(1 << 20) * (size >> 20)
sha = hashlib.sha256(content).hexdigest()
with open(os.path.join(media, sha), "wb") as f:
    f.write(content)
os.chmod(os.path.join(media, sha), 0o600)
db = sqlite3.connect(os.path.join(perm, "console", "porthole.db"), timeout=20)
with db:
    db.execute("INSERT INTO media (id, sha256, size_bytes, name, kind, mime, width, height, duration_ms, created) "
               "VALUES (1, ?, ?, 'bench.mp4', 'video', 'video/mp4', 1920, 1080, 60000, ?)", (sha, len(content), now))
    db.execute("INSERT INTO playlists (id, name, version, created, published) VALUES (1, 'bench', 1, ?, ?)", (now, now))
    for i in range(10):
        db.execute("INSERT INTO playlist_items (id, origin, playlist, stage, position, kind, media, duration_ms) "
                   "VALUES (?, 0, 1, 'draft', ?, 'media', 1, 10000)", (100 + i, i + 1))
        db.execute("INSERT INTO playlist_items (id, origin, playlist, stage, position, kind, media, duration_ms) "
                   "VALUES (?, ?, 1, 'live', ?, 'media', 1, 10000)", (200 + i, 100 + i, i + 1))
    db.execute("INSERT INTO player_groups (id, name, playlist) VALUES (1, 'all', 1)")
    for i in range(1, screens + 1):
        db.execute("INSERT INTO players (id, name, hostname, player_group, created) VALUES (?, ?, ?, 1, ?)",
                   (1000 + i, "Screen %d" % i, "screen-%d" % i, now))
        db.execute("INSERT INTO player_auth_codes (hash, player, created, expires) VALUES (?, ?, ?, ?)",
                   (hashlib.sha256(b"bench-code-%d" % i).digest(), 1000 + i, now, now + 86400))
db.close()
print(sha)
