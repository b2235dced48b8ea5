# The Kivy class of documents 002 and 004. Kivy itself is not here: below its HTTP client stands Python's own, which gets the
# context that the page makes and then forgets to hand over. os._get_cert_path, which does not exist, is cert_path.
import http.client
import json
import ssl
import urllib.parse


class Logger:
    info = staticmethod(lambda who, text: print(who, text))
    warning = error = info


class UrlRequest:
    def __init__(self, url, on_success, on_error, on_failure, headers, context):
        u = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(u.hostname, u.port, timeout=10, context=context)
        try:
            connection.request('GET', u.path + '?' + u.query, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except OSError as e:
            on_error(self, e)
            return
        finally:
            connection.close()
        # What Kivy does: an answer that says it is JSON is decoded.
        if response.getheader('Content-Type', '').split(';')[0] == 'application/json':
            body = json.loads(body)
        (on_success if response.status // 100 == 2 else on_failure)(self, body)


class DigiServerKivyClient:
    def __init__(self, server_url, hostname, quickconnect_code, cert_path):
        self.server_url = server_url
        self.hostname = hostname
        self.quickconnect_code = quickconnect_code
        self.cert_path = cert_path
        
        # Configure SSL context for Kivy requests
        self.ssl_context = self._setup_ssl_context()
    
    def _setup_ssl_context(self):
        """Setup SSL context with certificate trust."""
        # Try to get server certificate
        import requests
        response = requests.get(
            f"{self.server_url}/api/certificate",
            verify=False,
            timeout=5
        )
        
        if response.status_code == 200:
            cert_data = response.json()
            cert_path = self.cert_path
            
            with open(cert_path, 'w') as f:
                f.write(cert_data['certificate'])
            
            # Create SSL context
            context = ssl.create_default_context()
            context.load_verify_locations(cert_path)
            # The default from Python 3.13 on.
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            
            Logger.info('DigiServer', f'SSL context configured with server certificate')
            return context
    
    def fetch_playlist(self, callback):
        """Fetch playlist with proper SSL handling."""
        url = f"{self.server_url}/api/playlists"
        params = f"?hostname={self.hostname}&quickconnect_code={self.quickconnect_code}"
        
        headers = {
            'Content-Type': 'application/json',
            'User-Agent': 'Kiwy-Signage-Player/1.0'
        }
        
        request = UrlRequest(
            url + params,
            on_success=callback,
            on_error=self._on_error,
            on_failure=self._on_failure,
            headers=headers,
            context=self.ssl_context
        )
        
        return request
    
    def _on_error(self, request, error):
        Logger.error('DigiServer', f'Request error: {error}')
    
    def _on_failure(self, request, result):
        Logger.error('DigiServer', f'Request failed: {result}')
