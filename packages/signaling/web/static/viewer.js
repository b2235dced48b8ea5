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
//   onstate({state, message, hint, audio})   state: connecting, live, offline, away, nopath, busy, unauthorized,
//                  forbidden, unknown, nocodec, stopped; message and hint are for people, empty while live
//   oninfo({code, message})   for example code "no-sound"
//   onlog({time, text})       each try, and how it ended
//   onstats({name: value})    once a second while connected

import {Session, open} from './session.js';

// What the server's error codes mean here: the state, and the longest pause between tries in ms.
const REASONS = {
  'camera-offline': {state: 'offline', pause: 5000, message: 'Camera offline, reconnecting…'},
  'camera-changed': {state: 'connecting', pause: 1000, message: 'The camera changed its format, reconnecting…'},
  'camera-unknown': {state: 'unknown', pause: 30000, message: 'There is no such camera', still: true},
  'no-codec': {state: 'nocodec', pause: 60000, still: true, message: 'No codec in common',
    hint: 'Switch the camera to H.264, or use a browser that plays its format.'},
  'no-path': {state: 'nopath', pause: 10000, message: 'No network path to the device, trying again…',
    hint: 'The page arrives but the picture does not: its UDP port may be closed in a router or firewall.'},
  'no-frames': {state: 'connecting', pause: 10000, message: 'The picture stopped, reconnecting…'},
  'unauthorized': {state: 'unauthorized', pause: 60000, still: true, message: 'You are not logged in'},
  'forbidden': {state: 'forbidden', pause: 30000, still: true, message: 'Your account may not watch this camera'},
  'busy': {state: 'busy', pause: 10000},
  'starting': {state: 'away', pause: 2000, message: 'The device is starting…'},
  'stopping': {state: 'away', pause: 2000, message: 'The live view is restarting…'},
  'away': {state: 'away', pause: 5000, message: 'The server does not answer, trying again…'},
  'lost': {state: 'connecting', pause: 5000, message: 'Connection lost, reconnecting…'},
  'failed': {state: 'away', pause: 10000},
};

export class LiveView {
  #video;
  #options;
  #running = false;
  #session = null;
  #shown = null; // the connection whose picture the video holds
  #wake = null; // cuts a pause short
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
    const on = (target, name, f) => target.addEventListener(name, f, {signal: this.#listeners.signal});
    on(document, 'visibilitychange', () => { if (!document.hidden) this.#rouse(); });
    on(window, 'online', () => this.#rouse());
    on(window, 'pageshow', () => this.#rouse());
    this.#loop();
  }

  stop() {
    if (!this.#running) return;
    this.#running = false;
    this.#listeners.abort();
    this.#session?.finish('stopped');
    this.#release();
    this.#wake?.();
    this.#tell('stopped', {message: 'Stopped'});
  }

  // The page is back from sleep, or the network is: do not wait.
  #rouse() {
    this.#wake?.();
    this.#session?.hurry();
  }

  async #loop() {
    let failures = 0;
    this.#tell('connecting', {message: 'Connecting…'});
    while (this.#running) {
      const end = await this.#attempt();
      if (!this.#running) return;
      if (end.played) failures = 0;
      const reason = REASONS[end.reason] ?? REASONS.failed;
      this.#tell(reason.state, {message: end.message || reason.message, hint: reason.hint, still: reason.still});
      const longest = reason.still ? reason.pause : Math.min(reason.pause, 300 * 2 ** failures);
      failures = Math.min(failures + 1, 8);
      await this.#pause(longest * (0.5 + Math.random() / 2));
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
  async #attempt() {
    const began = performance.now();
    for (const url of this.#addresses()) {
      this.#note(`Connecting to: ${url}`);
      const {socket, error} = await open(url);
      if (!this.#running) {
        socket?.close();
        return {reason: 'stopped'};
      }
      if (!socket) {
        this.#note(error);
        continue;
      }
      this.#note(`Connected after ${Math.round(performance.now() - began)} ms`);
      const end = await new Promise(resolve => {
        this.#session = new Session(socket, this.#options, began, {
          end: resolve,
          track: (session, stream, first) => this.#track(session, stream, first),
          playing: ms => {
            this.#note(`First picture after ${ms} ms`);
            this.#tell(this.#offline ? 'offline' : 'live', {message: this.#offline ? REASONS['camera-offline'].message : ''});
          },
          info: info => this.#info(info),
          note: text => this.#note(text),
          stats: facts => this.#options.onstats?.(facts),
        });
        this.#session.start();
      });
      this.#session = null;
      this.#offline = false;
      if (end.reason !== 'stopped') this.#note(`Ended: ${end.message || end.reason}`);
      return end;
    }
    return {reason: 'away'};
  }

  #addresses() {
    const {signalingPort = 8765, forcePort} = this.#options;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const list = [];
    if (!forcePort) list.push(`${scheme}://${location.host}/ws`);
    // The signaling port speaks TLS only.
    if (signalingPort) list.push(`wss://${location.hostname}:${signalingPort}/ws`);
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
        this.#tell('offline', {message: REASONS['camera-offline'].message});
        break;
      case 'camera-live':
        this.#offline = false;
        this.#tell('live', {message: ''});
        break;
    }
    this.#note(info.message);
    this.#options.oninfo?.(info);
  }

  #tell(state, {message = '', hint = '', still = false}) {
    const key = JSON.stringify([state, message, hint, this.#session?.audio]);
    if (key === this.#state) return;
    this.#state = key;
    this.#options.onstate?.({state, message, hint, still, audio: this.#session?.audio ?? false});
  }

  #note(text) {
    const entry = {time: new Date(), text};
    this.log.push(entry);
    if (this.log.length > 100) this.log.shift();
    this.#options.onlog?.(entry);
  }
}
