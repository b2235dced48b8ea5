# ask.py ANCHORS ADDRESS URL…: opens each URL with requests, and as Kivy's players do, trusting ANCHORS and nothing else. Names
# are looked for at ADDRESS, except localhost and addresses.
import http.client
import ipaddress
import socket
import ssl
import sys
from urllib.parse import urlsplit

import requests

anchors, address = sys.argv[1:3]
usual = socket.getaddrinfo


def lookup(host, *args, **more):
    name = host.decode() if isinstance(host, bytes) else host
    try:
        ipaddress.ip_address(name)
    except ValueError:
        host = '127.0.0.1' if name == 'localhost' else address
    return usual(host, *args, **more)


socket.getaddrinfo = lookup
failed = 0


def ask(how, url, get):
    global failed
    try:
        assert get() == 200
        print('✓', how, url)
    except Exception as e:
        failed += 1
        print('❌', how, url, e)


def with_requests(url):
    session = requests.Session()
    session.trust_env = False
    session.verify = anchors
    return session.get(url, timeout=30).status_code


def like_kivy(url):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(anchors)
    u = urlsplit(url)
    connection = http.client.HTTPSConnection(u.hostname, u.port, context=context, timeout=30)
    connection.request('GET', u.path)
    return connection.getresponse().status


for url in sys.argv[3:]:
    ask('requests', url, lambda: with_requests(url))
    ask('Kivy', url, lambda: like_kivy(url))
sys.exit(failed != 0)
