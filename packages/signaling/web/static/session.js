// One connection to the signaling server: a WebSocket and the RTCPeerConnection it sets up. LiveView makes them.

const OPEN_TIMEOUT = 5000;
const ANSWER_TIMEOUT = 12000;
const CONNECT_TIMEOUT = 15000;
// A picture that stands still for so long, from a camera nobody called offline, means that something is stuck.
const STALL_TIMEOUT = 6000;
const FIRST_FRAME_TIMEOUT = 10000;
// After sleep, and when the network comes back, the picture has this long to move.
const WAKE_TIMEOUT = 2500;
const DISCONNECTED_TIMEOUT = 4000;

// open resolves to {socket} or {error}. Browsers do not tell scripts why a socket failed.
export function open(url) {
  return new Promise(resolve => {
    const began = performance.now();
    const socket = new WebSocket(url);
    const failed = text => {
      clearTimeout(timer);
      socket.onopen = socket.onclose = socket.onerror = null;
      socket.close();
      resolve({error: text});
    };
    const timer = setTimeout(() => failed(`no answer within ${OPEN_TIMEOUT / 1000} s: is the port open?`), OPEN_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(timer);
      socket.onopen = socket.onclose = null;
      resolve({socket});
    };
    socket.onclose = e => failed(`failed after ${Math.round(performance.now() - began)} ms (code ${e.code}): ` +
      'nothing listens there, or its certificate is not trusted for that port, or the server refused');
  });
}

// Session is one WebSocket with one RTCPeerConnection.
export class Session {
  audio = false;

  #socket;
  #options;
  #began;
  #on;
  #pc = null;
  #timers = new Set();
  #over = false;
  #played = false;
  #offline = false;
  #moved = 0; // when the picture last moved
  #last = null; // the last statistics
  #checked = 0;
  #limit = FIRST_FRAME_TIMEOUT;

  constructor(socket, options, began, on) {
    this.#socket = socket;
    this.#options = options;
    this.#began = began;
    this.#on = on;
  }

  async start() {
    const socket = this.#socket;
    socket.onmessage = e => this.#message(e.data);
    socket.onclose = e => this.finish(e.code === 4401 ? 'unauthorized' : 'lost');
    const pc = this.#pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
    pc.onicecandidate = e => {
      if (e.candidate?.candidate) {
        const {candidate, sdpMid, sdpMLineIndex} = e.candidate;
        this.#send({type: 'onIceCandidate', candidate: {candidate, sdpMid, sdpMLineIndex}});
      }
    };
    pc.ontrack = e => this.#arrived(e);
    pc.onconnectionstatechange = () => this.#state();
    for (const kind of ['video', 'audio']) pc.addTransceiver(kind, {direction: 'recvonly'});
    try {
      await pc.setLocalDescription(await pc.createOffer());
    } catch (e) {
      this.finish('failed', `This browser cannot offer to play: ${e.message}`);
      return;
    }
    this.#send({type: 'viewer', cameraId: this.#options.camera, streamId: this.#options.stream || undefined,
      sdpOffer: pc.localDescription?.sdp});
    this.#after(ANSWER_TIMEOUT, () => { if (!pc.remoteDescription) this.finish('away'); });
  }

  // finish ends the signaling; the picture stays until close.
  finish(reason, message = '') {
    if (this.#over) return;
    this.#over = true;
    for (const t of this.#timers) clearTimeout(t);
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#send({type: 'stop'});
    this.#socket.close();
    this.#on.end({reason, message, played: this.#played});
    if (!this.#played) this.close();
  }

  close() {
    this.#over = true;
    if (this.#pc) {
      this.#pc.ontrack = this.#pc.onicecandidate = this.#pc.onconnectionstatechange = null;
      this.#pc.close();
    }
  }

  // hurry: what does not move soon is broken.
  hurry() {
    if (this.#played) this.#moved = Math.min(this.#moved, performance.now() - STALL_TIMEOUT + WAKE_TIMEOUT);
  }

  // watch finds out when the video shows the first frame of this session.
  watch(video) {
    const first = () => {
      if (this.#played || this.#over) return;
      this.#played = true;
      this.#moved = performance.now();
      this.#limit = STALL_TIMEOUT;
      this.#on.playing(Math.round(performance.now() - this.#began));
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(first);
    else video.addEventListener('timeupdate', first, {once: true});
    this.#seen = first;
  }

  #seen = null;

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #after(ms, f) {
    this.#timers.add(setTimeout(() => { if (!this.#over) f(); }, ms));
  }

  async #message(data) {
    let m;
    try {
      m = JSON.parse(data);
    } catch {
      return;
    }
    try {
      switch (m.type) {
        case 'viewerResponse':
          await this.#pc.setRemoteDescription({type: 'answer', sdp: m.sdpAnswer});
          this.#after(CONNECT_TIMEOUT, () => { if (this.#pc.connectionState !== 'connected') this.finish('no-path'); });
          break;
        case 'iceCandidate':
          if (m.candidate) await this.#pc.addIceCandidate(m.candidate);
          break;
        case 'info':
          if (m.code === 'camera-offline') this.#offline = true;
          if (m.code === 'camera-live') {
            this.#offline = false;
            this.#moved = performance.now();
          }
          this.#on.info(m);
          break;
        case 'error':
          if (m.code === 'bad-message') this.#on.note(m.message);
          else this.finish(m.code ?? 'failed', m.code === 'camera-offline' || m.code === 'no-path' ? '' : sentence(m.message));
          break;
      }
    } catch (e) {
      if (!this.#over) this.finish('failed', `The connection could not be set up: ${e.message}`);
    }
  }

  #arrived(e) {
    // The least delay: there is no reason to hold a live picture back.
    e.receiver.jitterBufferTarget = 0;
    if (e.track.kind === 'audio') this.audio = true;
    else this.#on.track(this, e.streams[0], e.track);
  }

  #state() {
    const pc = this.#pc;
    switch (pc.connectionState) {
      case 'connected':
        if (!this.#moved) {
          this.#moved = this.#checked = performance.now();
          this.#check();
        }
        break;
      case 'disconnected':
        this.#after(DISCONNECTED_TIMEOUT, () => { if (pc.connectionState === 'disconnected') this.finish('lost'); });
        break;
      case 'failed':
        this.finish(this.#played ? 'lost' : 'no-path');
        break;
    }
  }

  // check looks once a second whether the picture moves.
  async #check() {
    if (this.#over) return;
    const now = performance.now();
    // This timer was asleep, with the whole page.
    if (now - this.#checked > 5000) this.hurry();
    this.#checked = now;
    const facts = await this.#facts();
    if (this.#over) return;
    if (facts) this.#on.stats(facts);
    // Hidden pages may stop decoding; an offline camera has nothing to decode.
    if (document.hidden || this.#offline) this.#moved = Math.max(this.#moved, now - this.#limit / 2);
    else if (now - this.#moved > this.#limit) {
      this.finish('no-frames');
      return;
    }
    this.#after(this.#last?.frames ? 1000 : 250, () => this.#check());
  }

  async #facts() {
    const pc = this.#pc;
    const byId = new Map();
    (await pc.getStats()).forEach(s => byId.set(s.id, s));
    if (this.#over) return null;
    const all = [...byId.values()];
    const video = all.find(s => s.type === 'inbound-rtp' && s.kind === 'video');
    const transport = all.find(s => s.type === 'transport');
    const pair = byId.get(transport?.selectedCandidatePairId) ??
      all.find(s => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
    const now = performance.now();
    const frames = video?.framesDecoded ?? 0;
    const bytes = video?.bytesReceived ?? 0;
    const last = this.#last;
    if (last && frames > last.frames) {
      this.#moved = now;
      if (!this.#played) this.#seen?.();
    }
    this.#last = {now, frames, bytes};
    const codec = byId.get(video?.codecId);
    const remote = byId.get(pair?.remoteCandidateId);
    const seconds = last ? (now - last.now) / 1000 : 0;
    const number = (v, unit, digits = 0) => v === undefined || Number.isNaN(v) ? '–' : `${v.toFixed(digits)} ${unit}`.trim();
    return {
      'ICE': pc.iceConnectionState,
      'Path': remote ? `${remote.protocol} ${remote.candidateType}` : '–',
      'Codec': codec ? codec.mimeType.replace('video/', '') + profile(codec.sdpFmtpLine) : '–',
      'Resolution': video?.frameWidth ? `${video.frameWidth}×${video.frameHeight}` : '–',
      'Frames per second': number(video?.framesPerSecond, ''),
      'Bit rate': seconds ? number((bytes - last.bytes) * 8 / 1000 / seconds, 'kbit/s') : '–',
      'Round trip': number(pair?.currentRoundTripTime * 1000, 'ms'),
      'Jitter buffer': number(1000 * video?.jitterBufferDelay / video?.jitterBufferEmittedCount, 'ms'),
      'Frames decoded': String(frames),
      'Frames dropped': String(video?.framesDropped ?? 0),
      'Packets lost': String(video?.packetsLost ?? 0),
      'Sound': this.audio ? 'yes' : 'no',
    };
  }
}

function profile(fmtp) {
  const m = /profile-level-id=([0-9a-f]{6})/i.exec(fmtp ?? '');
  return m ? ` (${m[1]})` : '';
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : '';
}
