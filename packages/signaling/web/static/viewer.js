// LiveView shows one camera in a <video> and keeps it there: it finds the signaling server, connects, and connects
// again after whatever went wrong.
//
//   const view = new LiveView(video, {camera: 'door', signalingPort: 8765, onstate: s => …});
//   view.start(); … view.stop();
//
// Options:
//   camera         the camera's id
//   stream         its stream, where it has several
//   signalingPort  the port to try when /ws on the page's own port fails; absent: 8765, 0: none
//   forcePort      true: try nothing but signalingPort
//   sound          false: the picture alone, which spares the device converting the sound; setSound changes it
//   ice            true: ask the device for ICE servers (/livestream/ice.json) before connecting
//   onstate({state, message, hint, still, audio})   state: connecting, live, offline, away, nopath, busy, unauthorized,
//                  forbidden, unknown, nocodec, limit, stopped; message and hint are for people, empty while live. In
//                  state limit nothing goes on until again() is called
//   oninfo({code, message})   for example code "no-sound", "transcoded"
//   onlog({time, text})       each try, and how it ended
//   onstats({name: value}, brief)    once a second while connected; brief is the few that matter most

import {OFFLINE, reasonFor, waitBefore} from './reasons.js';
import {Session, open} from './session.js';

export class LiveView {
  #video;
  #options;
  #running = false;
  #session = null;
  #shown = null; // the connection whose picture the video holds
  #wake = null; // cuts a pause short
  #asked = null; // goes on after the time limit
  #state = '';
  #offline = false;
  #listeners = null;

  // How each try went, newest last.
  log = [];

  constructor(video, options) {
    this.#video = video;
    this.#options = options;
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#listeners = new AbortController();
    const on = (target, name) => target?.addEventListener?.(name, () => { if (!document.hidden) this.#rouse(); }, {signal: this.#listeners.signal});
    on(document, 'visibilitychange');
    on(document, 'resume');
    on(window, 'online');
    on(window, 'pageshow');
    on(navigator.connection, 'change');
    this.#loop(this.#listeners.signal);
  }

  stop() {
    if (!this.#running) return;
    this.#running = false;
    this.#listeners.abort();
    this.#session?.finish('stopped');
    this.#release();
    this.#wake?.();
    this.#asked?.();
    this.#tell('stopped', {message: 'Stopped'});
  }

  // setSound asks for sound, or no longer does. The connection is made anew, the picture stays.
  setSound(on) {
    if ((this.#options.sound !== false) === on) return;
    this.#options = {...this.#options, sound: on};
    this.#session?.finish('sound');
  }

  // again goes on after the time limit.
  again() {
    this.#asked?.();
  }

  // The page is back from sleep, or the network is: do not wait.
  #rouse() {
    this.#wake?.();
    this.#session?.hurry();
  }

  // loop ends with signal: stop and start in between make another one.
  async #loop(signal) {
    let failures = 0;
    let since = 0;
    this.#tell('connecting', {message: 'Connecting…'});
    while (!signal.aborted) {
      const end = await this.#attempt(failures === 0, signal);
      if (signal.aborted) return;
      if (end.played) failures = 0;
      if (failures === 0) since = performance.now();
      const reason = reasonFor(end.reason);
      this.#tell(reason.state, {message: end.message || reason.message, hint: end.hint || reason.hint, still: reason.still});
      if (reason.asks) {
        await new Promise(resolve => { this.#asked = resolve; });
        this.#asked = null;
        if (signal.aborted) return;
        this.#tell('connecting', {message: 'Connecting…'});
        continue;
      }
      await this.#pause(waitBefore(reason, failures, since));
      failures++;
    }
  }

  #pause(ms) {
    return new Promise(resolve => {
      const timer = setTimeout(done, ms);
      const view = this;
      view.#wake = done;
      function done() {
        clearTimeout(timer);
        view.#wake = null;
        resolve();
      }
    });
  }

  // Opens a socket, plays over it, and says how that ended.
  async #attempt(first, signal) {
    const began = performance.now();
    const session = new Session(this.#options, began, {
      track: (s, stream, track) => this.#track(s, stream, track),
      playing: ms => {
        this.#note(`First picture after ${ms} ms`);
        this.#tell(this.#offline ? 'offline' : 'live', {message: this.#offline ? OFFLINE : ''});
      },
      info: info => this.#info(info),
      note: text => this.#note(text),
      slow: () => { if (this.#state.includes('"connecting"')) this.#tell('connecting', {message: 'Waiting for the camera…'}); },
      stats: ({facts, brief}) => this.#options.onstats?.(facts, brief),
    });
    // A server that is away is not worth an offer each time.
    if (first) session.prepare().catch(() => {});
    for (const url of this.#addresses()) {
      this.#note(`Connecting to: ${url}`);
      const {socket, error} = await open(url);
      if (signal.aborted) {
        socket?.close();
        session.close();
        return {reason: 'stopped'};
      }
      if (!socket) {
        this.#note(error);
        continue;
      }
      this.#note(`Connected after ${Math.round(performance.now() - began)} ms`);
      this.#session = session;
      session.start(socket);
      const end = await session.ended;
      if (this.#session === session) this.#session = null;
      this.#offline = false;
      if (end.reason !== 'stopped') this.#note(`Ended: ${end.message || end.reason}`);
      return end;
    }
    session.close();
    return {reason: 'away'};
  }

  #addresses() {
    const {signalingPort = 8765, forcePort} = this.#options;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const list = [];
    if (!forcePort) list.push(`${scheme}://${location.host}/ws`);
    // The signaling port speaks TLS only.
    const own = `wss://${location.hostname}:${signalingPort}/ws`;
    if (signalingPort && !list.includes(own)) list.push(own);
    return list;
  }

  // A new connection brings its stream. The old picture stays until the new one moves.
  #track(session, stream, firstTrack) {
    const show = () => {
      if (this.#session !== session || this.#shown === session) return;
      this.#release();
      this.#shown = session;
      this.#video.srcObject = stream;
      this.#video.play().catch(() => {}); // A page in the background may not; it plays when it is seen.
      session.watch(this.#video);
    };
    if (!this.#shown) {
      show();
      return;
    }
    firstTrack.addEventListener('unmute', show, {once: true});
    setTimeout(show, 3000);
  }

  #release() {
    this.#shown?.close();
    this.#shown = null;
    if (!this.#running) this.#video.srcObject = null;
  }

  #info(info) {
    switch (info.code) {
      case 'camera-offline':
        this.#offline = true;
        this.#tell('offline', {message: OFFLINE});
        break;
      case 'camera-live':
        this.#offline = false;
        if (this.#session?.played) this.#tell('live', {message: ''});
        break;
    }
    this.#note(info.message);
    this.#options.oninfo?.(info);
  }

  #tell(state, {message = '', hint = '', still = false}) {
    const audio = this.#session?.audio ?? false;
    const key = JSON.stringify([state, message, hint, audio]);
    if (key === this.#state) return;
    this.#state = key;
    this.#options.onstate?.({state, message, hint, still, audio});
  }

  #note(text) {
    const entry = {time: new Date(), text};
    this.log.push(entry);
    if (this.log.length > 100) this.log.shift();
    this.#options.onlog?.(entry);
  }
}
