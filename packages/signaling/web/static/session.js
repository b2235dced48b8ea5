// One connection to the signaling server: a WebSocket and the RTCPeerConnection it sets up. LiveView makes them.

import {iceServers} from './ice.js';
import {sentence} from './reasons.js';
import {Stats, tried} from './stats.js';

const OPEN_TIMEOUT = 5000;
const ANSWER_TIMEOUT = 12000;
// A camera that must be connected first takes a moment; after that long the page says what it waits for.
const ANSWER_SLOW = 1500;
const CONNECT_TIMEOUT = 12000;
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
  #resolve;
  audio = false;
  // ended resolves to {reason, message, hint, played}.
  ended = new Promise(resolve => { this.#resolve = resolve; });

  #socket = null;
  #options;
  #began;
  #on;
  #pc = null;
  #stats = null;
  #offer = null; // resolves when the offer is made
  #early = []; // candidates found before there is a socket
  #sent = false;
  #video = null;
  #timers = new Set();
  #over = false;
  #played = false;
  #offline = false;
  #moved = 0; // when the picture last moved
  #checked = 0;
  #limit = FIRST_FRAME_TIMEOUT;
  #seen = null;

  // on: track, playing, info, note, slow and stats are told what happens.
  constructor(options, began, on) {
    this.#options = options;
    this.#began = began;
    this.#on = on;
  }

  // prepare makes the offer, which needs no server: it can be done while the socket opens.
  prepare() {
    this.#offer ??= this.#makeOffer();
    return this.#offer;
  }

  async #makeOffer() {
    const servers = this.#options.ice ? await iceServers() : [];
    if (this.#over) return;
    const pc = this.#pc = new RTCPeerConnection({bundlePolicy: 'max-bundle', iceServers: servers});
    this.#stats = new Stats(pc);
    pc.onicecandidate = e => {
      if (!e.candidate?.candidate) return;
      const {candidate, sdpMid, sdpMLineIndex} = e.candidate;
      const message = {type: 'onIceCandidate', candidate: {candidate, sdpMid, sdpMLineIndex}};
      if (this.#sent) this.#send(message);
      else this.#early.push(message);
    };
    pc.ontrack = e => this.#arrived(e);
    pc.onconnectionstatechange = () => this.#state();
    for (const kind of this.#options.sound === false ? ['video'] : ['video', 'audio']) pc.addTransceiver(kind, {direction: 'recvonly'});
    await pc.setLocalDescription(await pc.createOffer());
  }

  // start sends the offer over an open socket.
  async start(socket) {
    this.#socket = socket;
    socket.onmessage = e => this.#message(e.data);
    socket.onclose = e => this.finish(e.code === 4401 ? 'unauthorized' : 'lost');
    try {
      await this.prepare();
    } catch (e) {
      this.finish('failed', `This browser cannot offer to play: ${e.message}`);
      return;
    }
    if (this.#over) return;
    const {camera, stream} = this.#options;
    this.#send({type: 'viewer', cameraId: camera, streamId: stream || undefined, sdpOffer: this.#pc.localDescription.sdp});
    this.#sent = true;
    for (const message of this.#early) this.#send(message);
    this.#early = [];
    this.#after(ANSWER_SLOW, () => { if (!this.#pc.remoteDescription) this.#on.slow(); });
    this.#after(ANSWER_TIMEOUT, () => { if (!this.#pc.remoteDescription) this.finish('away'); });
  }

  // finish ends the signaling; the picture stays until close.
  async finish(reason, message = '', hint = '') {
    if (this.#over) return;
    this.#over = true;
    for (const t of this.#timers) clearTimeout(t);
    const pc = this.#pc;
    if (this.#socket) {
      this.#socket.onmessage = this.#socket.onclose = null;
      this.#send({type: 'stop'});
      this.#socket.close();
    }
    if (reason === 'no-path' && pc) {
      this.#on.note(`Tried: ${await tried(pc)}`);
      // A device without a port for everything has no TCP to offer.
      const tcp = /^a=candidate:\S+ \d+ tcp /im.test(pc.remoteDescription?.sdp ?? '');
      message = `${tcp ? 'UDP and TCP are' : 'UDP is'} blocked: no network path for the picture, trying again…`;
    }
    this.#resolve({reason, message, hint, played: this.#played});
    if (!this.#played) this.close();
  }

  get played() {
    return this.#played;
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
    this.#video = video;
    const first = () => {
      if (this.#played || this.#over) return;
      this.#played = true;
      this.#moved = performance.now();
      this.#limit = STALL_TIMEOUT;
      performance.mark('first-picture');
      this.#on.playing(Math.round(performance.now() - this.#began));
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(first);
    else video.addEventListener('timeupdate', first, {once: true});
    this.#seen = first;
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #after(ms, f) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#over) f();
    }, ms);
    this.#timers.add(timer);
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
          this.#after(CONNECT_TIMEOUT, () => { if (this.#pc.connectionState !== 'connected') this.finish('no-path'); });
          await this.#pc.setRemoteDescription({type: 'answer', sdp: m.sdpAnswer});
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
          else if (HEADED.has(m.code)) this.finish(m.code, '', sentence(m.message));
          else this.finish(m.code ?? 'failed', OWN_WORDS.has(m.code) ? '' : sentence(m.message));
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
        // The first picture, and word from the camera, can be here before this.
        if (!this.#checked) {
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
    if (this.#video) this.#stats.watch(this.#video);
    const read = await this.#stats.read(this.audio);
    if (this.#over) return;
    if (read) {
      if (read.moved) {
        this.#moved = performance.now();
        if (!this.#played) this.#seen?.();
      }
      this.#on.stats(read);
    }
    // Hidden pages may stop decoding; an offline camera has nothing to decode.
    if (document.hidden || this.#offline) this.#moved = Math.max(this.#moved, now - this.#limit / 2);
    else if (now - this.#moved > this.#limit) {
      this.finish('no-frames');
      return;
    }
    this.#after(this.#stats.frames ? 1000 : 250, () => this.#check());
  }
}

// For these codes the page's own words say more than the server's, or say it before the server's do.
const OWN_WORDS = new Set(['camera-offline', 'unauthorized']);
const HEADED = new Set(['no-path', 'time-limit']);
