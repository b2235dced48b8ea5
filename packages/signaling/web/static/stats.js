// What a connection's statistics say, in words.

const DASH = '–';

// Stats reads an RTCPeerConnection.
export class Stats {
  // frames decoded so far.
  frames = 0;

  #pc;
  #last = null;
  #display = null; // {wait, at}: how long the last frame looked at was in this browser, ms

  constructor(pc) {
    this.#pc = pc;
  }

  // watch measures frames that a <video> shows. receiveTime is when a frame's last packet came, expectedDisplayTime when it
  // is on the screen (WICG video-rvfc); browsers that do not know the first are estimated by their jitter buffer.
  watch(video) {
    if (!video.requestVideoFrameCallback) return;
    video.requestVideoFrameCallback((_, frame) => {
      if (frame.receiveTime !== undefined) this.#display = {wait: frame.expectedDisplayTime - frame.receiveTime, at: performance.now()};
    });
  }

  // read returns {moved, facts, brief}: whether pictures were decoded since the last time, every figure for the Debug
  // section, and the few for the overlay. null: the connection is gone.
  async read(sound) {
    const byId = new Map();
    try {
      (await this.#pc.getStats()).forEach(s => byId.set(s.id, s));
    } catch {
      return null;
    }
    const all = [...byId.values()];
    const video = all.find(s => s.type === 'inbound-rtp' && s.kind === 'video') ?? {};
    const pair = selected(all, byId);
    const codec = byId.get(video.codecId);
    const now = {at: performance.now(), frames: video.framesDecoded ?? 0, bytes: video.bytesReceived ?? 0,
      decode: video.totalDecodeTime, buffer: video.jitterBufferDelay, emitted: video.jitterBufferEmittedCount};
    const last = this.#last;
    this.#last = now;
    this.frames = now.frames;

    const seconds = last ? (now.at - last.at) / 1000 : 0;
    const delay = this.#delay(now, last, pair);
    const bitRate = seconds ? number((now.bytes - last.bytes) * 8 / 1000 / seconds, 'kbit/s') : DASH;
    const size = video.frameWidth ? `${video.frameWidth}×${video.frameHeight}` : DASH;
    const name = codec ? codec.mimeType.replace('video/', '') : DASH;
    const facts = {
      'Delay': delay.text,
      'ICE': this.#pc.iceConnectionState,
      'Path': pathOf(pair, byId),
      'Codec': name + profile(codec?.sdpFmtpLine),
      'Resolution': size,
      'Frames per second': number(video.framesPerSecond, ''),
      'Bit rate': bitRate,
      'Round trip': number(pair?.currentRoundTripTime * 1000, 'ms'),
      'Jitter buffer': number(perFrame(now, last, 'buffer', 'emitted'), 'ms'),
      'Decoding': number(perFrame(now, last, 'decode', 'frames'), 'ms', 1),
      'Frames decoded': String(now.frames),
      'Frames dropped': String(video.framesDropped ?? 0),
      'Packets lost': String(video.packetsLost ?? 0),
      'Sound': sound ? 'yes' : 'no',
    };
    const brief = {
      'Delay': delay.text,
      'Bit rate': bitRate,
      'Picture': size === DASH ? DASH : `${size}, ${number(video.framesPerSecond, 'fps')}`,
      'Codec': name,
      'Path': brieflyPath(pair, byId),
    };
    return {moved: last !== null && now.frames > last.frames, facts, brief};
  }

  // From the device to this screen: half the round trip, and what the last frame waited in this browser for its
  // neighbours, its decoding and its turn on the screen. The camera's own delay and the device's are not in it.
  #delay(now, last, pair) {
    const network = pair?.currentRoundTripTime * 1000 / 2;
    let here = NaN;
    if (this.#display && now.at - this.#display.at < 5000) here = this.#display.wait;
    else here = perFrame(now, last, 'buffer', 'emitted') + perFrame(now, last, 'decode', 'frames');
    const ms = network + here;
    return {text: Number.isFinite(ms) ? `≈ ${Math.max(1, Math.round(ms))} ms` : DASH};
  }
}

// perFrame is the mean time in ms that each frame between two readings took.
function perFrame(now, last, time, count) {
  if (!last || !(now[count] > last[count])) return NaN;
  return 1000 * (now[time] - last[time]) / (now[count] - last[count]);
}

function selected(all, byId) {
  const transport = all.find(s => s.type === 'transport');
  return byId.get(transport?.selectedCandidatePairId) ??
    all.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
}

function pathOf(pair, byId) {
  const remote = byId.get(pair?.remoteCandidateId);
  const local = byId.get(pair?.localCandidateId);
  if (!remote) return DASH;
  const at = remote.address ? ` ${remote.address.includes(':') ? `[${remote.address}]` : remote.address}:${remote.port}` : '';
  return `${remote.protocol} ${remote.candidateType}${at}${local?.candidateType === 'relay' ? ` via ${local.relayProtocol ?? ''} relay` : ''}`;
}

function brieflyPath(pair, byId) {
  const remote = byId.get(pair?.remoteCandidateId);
  const local = byId.get(pair?.localCandidateId);
  if (!remote) return DASH;
  if (local?.candidateType === 'relay') return `relay over ${(local.relayProtocol ?? local.protocol).toUpperCase()}`;
  return `direct, ${remote.protocol.toUpperCase()}`;
}

// tried lists where the device said it could be reached, and what became of it.
export async function tried(pc) {
  const all = [];
  try {
    (await pc.getStats()).forEach(s => all.push(s));
  } catch { /* then only the addresses */ }
  const ends = new Set();
  // RFC 8839 section 5.1: foundation, component, transport, priority, address, port.
  for (const [, transport, address, at] of (pc.remoteDescription?.sdp ?? '').matchAll(/^a=candidate:\S+ \d+ (\S+) \d+ (\S+) (\d+) /gm)) {
    const ids = all.filter(s => s.type === 'remote-candidate' && s.address === address && s.port === Number(at) && s.protocol === transport.toLowerCase()).map(s => s.id);
    const pairs = all.filter(s => s.type === 'candidate-pair' && ids.includes(s.remoteCandidateId));
    const end = pairs.some(p => p.responsesReceived > 0) ? 'answered' : pairs.length ? 'no answer' : 'no connection';
    ends.add(`${transport.toLowerCase()} ${address}:${at} (${end})`);
  }
  return [...ends].join(', ') || 'the device named no address';
}

function number(v, unit, digits = 0) {
  return v === undefined || Number.isNaN(v) ? DASH : `${v.toFixed(digits)} ${unit}`.trim();
}

function profile(fmtp) {
  const m = /profile-level-id=([0-9a-f]{6})/i.exec(fmtp ?? '');
  return m ? ` (${m[1]})` : '';
}
