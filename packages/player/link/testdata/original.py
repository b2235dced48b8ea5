"""A small server that speaks the DigiServer contract as documents 001, 002 and 004 show it, for tests of our player.

It serves what DIR/config.json says, read anew for each request, and appends each request to DIR/requests.jsonl:
  players   {hostname: {id, name, code, version, playlist, orientation}}
  legacy    true: the version before auth codes: only /api/playlists?hostname=&quickconnect_code= and player-feedback
  form      "list": the playlist alone; "items": {"items": […]}; else the object of the contract
  login     true: media want the auth code
  noid      true: the playlist is asked for by hostname only
"""
import email.utils
import json
import os
import secrets
import ssl
import sys
import threading
import urllib.parse
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
codes = {}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            self.body = json.loads(raw) if raw else {}
        except ValueError:
            self.body = {}
        self.url = urllib.parse.urlsplit(self.path)
        with lock:
            with open(os.path.join(folder, "requests.jsonl"), "a") as f:
                f.write(json.dumps({
                    "Method": self.command, "Path": self.url.path, "Query": self.url.query, "Body": self.body,
                    "Bearer": (self.headers.get("Authorization") or "").removeprefix("Bearer "), "Agent": self.headers.get("User-Agent"),
                    "Range": self.headers.get("Range") or ""}) + "\n")
        with open(os.path.join(folder, "config.json")) as f:
            self.config = json.load(f)
        path, legacy = self.url.path, self.config.get("legacy")
        if path.startswith("/static/uploads/") and self.command == "GET":
            return self.media(path)
        call = self.command + " " + path
        if call == "GET /api/health" and not legacy:
            return self.answer(200, {"status": "healthy", "version": "2.0.0", "timestamp": "2026-01-17T18:50:47"})
        if call == "POST /api/auth/player" and not legacy:
            return self.login()
        if call == "POST /api/auth/verify" and not legacy:
            player = self.by_bearer()
            if not player:
                return self.answer(200, {"valid": False, "error": "Invalid or expired auth code"})
            return self.answer(200, {"valid": True, "player_id": player["id"], "player_name": player["name"], "status": "online"})
        if call == "GET /api/playlists":
            query = dict(urllib.parse.parse_qsl(self.url.query))
            player = self.config["players"].get(query.get("hostname"))
            if not player or player["code"] != query.get("quickconnect_code"):
                return self.answer(401, {"error": "Invalid credentials"})
            return self.playlist(player)
        if path.startswith("/api/playlists/") and self.command == "GET" and not legacy and not self.config.get("noid"):
            player = self.by_bearer()
            if not player:
                return self.answer(401, {"error": "Authentication required"})
            if str(player["id"]) != path.rsplit("/", 1)[1]:
                return self.answer(403, {"error": "Unauthorized access to this player"})
            return self.playlist(player)
        if call == "POST /api/player-feedback":
            player = self.config["players"].get(self.body.get("hostname"))
            if not player or player["code"] != self.body.get("quickconnect_code"):
                return self.answer(401, {"error": "Invalid credentials"})
            return self.answer(200, {"success": True, "message": "Feedback received"})
        return self.answer(404, {"error": "Not found"})

    do_GET = do_POST = handle_any

    def by_bearer(self):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or self.body.get("auth_code")
        return self.config["players"].get(codes.get(token))

    def login(self):
        hostname = self.body.get("hostname")
        player = self.config["players"].get(hostname)
        if not player or player["code"] != self.body.get("quickconnect_code"):
            return self.answer(401, {"success": False, "error": "Authentication failed"})
        code = secrets.token_urlsafe(32)
        codes[code] = hostname
        return self.answer(200, {
            "success": True, "player_id": player["id"], "player_name": player["name"], "hostname": hostname, "auth_code": code,
            "playlist_id": None, "orientation": player.get("orientation", "Landscape")})

    def playlist(self, player):
        items = player["playlist"]
        form = self.config.get("form")
        if form == "list":
            return self.answer(200, items)
        if form == "items":
            return self.answer(200, {"player_id": player["id"], "items": items})
        return self.answer(200, {
            "player_id": player["id"], "player_name": player["name"], "playlist_version": player["version"], "playlist": items, "count": len(items)})

    def media(self, path):
        if self.config.get("login") and not self.by_bearer():
            return self.answer(401, {"error": "Authentication required"})
        name = os.path.join(folder, "media", os.path.basename(urllib.parse.unquote(path)))
        if not os.path.exists(name):
            # What a Flask application without an error handler answers.
            page = b"<!doctype html><title>404 Not Found</title>"
            self.send_response(404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            return self.wfile.write(page)
        with open(name, "rb") as f:
            data = f.read()
        etag = '"%d-%d"' % (len(data), zlib.adler32(data))
        first, status = 0, 200
        asked = self.headers.get("Range")
        if asked and asked.startswith("bytes=") and self.headers.get("If-Range", etag) == etag:
            first = int(asked[6:].split("-")[0])
            status = 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, len(data) - 1, len(data)))
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(data) - first))
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", email.utils.formatdate(os.path.getmtime(name), usegmt=True))
        self.end_headers()
        self.wfile.write(data[first:])


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if os.path.exists(os.path.join(folder, "cert.pem")):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
