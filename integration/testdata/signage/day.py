# A day of players in the field: day.py SERVER PLAIN-SERVER FOLDER writes what they got as JSON into FOLDER/day.json.
import hashlib
import json
import os
import sys

import requests

from digiserver_client import DigiServerClient
from kivy_client import DigiServerKivyClient
from player_client import PlayerClient

server, plain, folder = sys.argv[1:]
seen = {}


def download(session, playlist):
    """What players do with a playlist: each file under its name, over the session that verifies."""
    files = []
    for item in playlist['playlist']:
        response = session.get(item['url'], timeout=10)
        response.raise_for_status()
        path = os.path.join(folder, item['file_name'])
        with open(path, 'wb') as f:
            f.write(response.content)
        files.append({'name': item['file_name'], 'size': os.path.getsize(path), 'right': hashlib.sha256(response.content).hexdigest() == item['sha256']})
    return files


# Documents 002 and 004.
client = DigiServerClient(server, 'kiosk', 'ABC123XYZ')
assert client.session.verify == os.path.expanduser('~/.digiserver/server_cert.pem'), client.session.verify
seen['playlist'] = client.get_playlist()
seen['again'] = client.get_playlist()
seen['files'] = download(client.session, seen['playlist'])
seen['feedback'] = client.send_feedback('playing', 'menu')
try:
    DigiServerClient(server, 'kiosk', 'wrong-one').get_playlist()
except requests.exceptions.HTTPError as e:
    seen['wrong'] = [e.response.status_code, e.response.json()['error']]

# A player that knows no TLS: let in one by one.
old = DigiServerClient(plain, 'till', 'oldcode', use_https=False)
seen['plain'] = old.get_playlist()
seen['plain_files'] = download(old.session, seen['plain'])
seen['plain_feedback'] = old.send_feedback('playing', 'till')
try:
    DigiServerClient(plain, 'kiosk', 'ABC123XYZ', use_https=False).get_playlist()
except requests.exceptions.HTTPError as e:
    seen['not_let_in'] = [e.response.status_code, e.response.json()['https_url']]

# The second version of the interface: authenticate, then go on with the code.
session = client.session
answer = session.post(server + '/api/auth/player', json={'hostname': 'player1', 'password': '', 'quickconnect_code': 'abc123'}, timeout=5)
answer.raise_for_status()
auth = answer.json()
bearer = {'Authorization': 'Bearer ' + auth['auth_code']}
seen['auth'] = {k: v for k, v in auth.items() if k != 'auth_code'}
seen['verify'] = session.post(server + '/api/auth/verify', headers=bearer, timeout=5).json()
seen['by_id'] = session.get(f"{server}/api/playlists/{auth['player_id']}", headers=bearer, timeout=10).json()

# Document 001 with the certificate file; it says Bearer, too.
old = PlayerClient(server, 'player1', 'abc123', verify_ssl=session.verify)
old.auth_code = auth['auth_code']
seen['old'] = old.get_playlist()
old.auth_code = None
seen['old_without'] = old.get_playlist()

# Document 001, test 4.
session = requests.Session()
session.verify = client.session.verify
seen['simulation'] = session.get(server + '/api/playlists', params={'hostname': 'player1', 'quickconnect_code': 'abc123'}).json()

# Kivy.
kivy = DigiServerKivyClient(server, 'kiosk', 'ABC123XYZ', os.path.join(folder, 'kivy.pem'))
kivy.fetch_playlist(lambda request, result: seen.update(kivy=result))

# An edited picture, as the player sends it.
original = seen['by_id']['playlist'][0]['file_name']
with open(os.path.join(folder, original), 'rb') as f:
    picture = f.read()
# Another picture with the same look: a comment in the JPEG.
picture = picture[:2] + b'\xff\xfe\x00\x08edited' + picture[2:]
seen['edit'] = session.post(server + '/api/player-edit-media', headers=bearer, timeout=10,
    files={'image_file': ('edited.jpg', picture, 'image/jpeg')},
    data={'metadata': json.dumps({'time_of_modification': '2026-11-21 19:30:36', 'original_name': original, 'new_name': 'menu_v1.jpg', 'version': 1, 'user': 'anna'})}).json()
seen['edited'] = session.get(server + '/api/playlists', headers=bearer, timeout=10).json()
seen['edited_files'] = download(session, seen['edited'])

with open(os.path.join(folder, 'day.json'), 'w') as f:
    json.dump(seen, f)
