// The STUN and TURN servers that a browser needs to reach the device, where it needs any.

const TIMEOUT = 3000;

let kept = null; // {servers: Promise, until}

// iceServers resolves to the list for RTCPeerConnection; to an empty one when the device does not tell. All views of a
// page share one answer until its credentials end.
export function iceServers() {
  if (kept && Date.now() < kept.until) return kept.servers;
  const mine = kept = {servers: null, until: Infinity};
  mine.servers = ask().then(({iceServers: servers = [], expires}) => {
    // A connection may live for a while: credentials that are about to end are no use.
    mine.until = expires ? Date.parse(expires) - 60000 : Infinity;
    return servers;
  }).catch(() => {
    mine.until = 0;
    return [];
  });
  return mine.servers;
}

async function ask() {
  const res = await fetch('/livestream/ice.json', {signal: AbortSignal.timeout(TIMEOUT)});
  if (!res.ok) throw new Error(`status ${res.status}`);
  return res.json();
}
