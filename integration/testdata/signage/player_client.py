# The class of document 001, as it stands there but for its last lines: where the certificate is not trusted the original
# goes on without verification; this one stops.
import requests
from requests.adapters import HTTPAdapter
from requests.packages.urllib3.util.retry import Retry

class PlayerClient:
    def __init__(self, server_url, hostname, quickconnect_code, verify_ssl=False):
        self.server_url = server_url
        self.session = requests.Session()
        
        # For self-signed certs, disable verification (NOT RECOMMENDED for production)
        self.session.verify = verify_ssl
        
        # Or: Trust specific certificate
        # self.session.verify = '/path/to/server-cert.pem'
        
        self.hostname = hostname
        self.quickconnect_code = quickconnect_code
    
    def get_playlist(self):
        """Fetch playlist from server."""
        try:
            response = self.session.get(
                f"{self.server_url}/api/playlists",
                params={
                    'hostname': self.hostname,
                    'quickconnect_code': self.quickconnect_code
                },
                headers={'Authorization': f'Bearer {self.auth_code}'}
            )
            response.raise_for_status()
            return response.json()
        except requests.exceptions.SSLError as e:
            print(f"SSL Error: {e}")
            raise
