// One camera on the wall: a still picture, and the live one over it while somebody can see it.
import {sentence} from './reasons.js';
import {LiveView} from './viewer.js';

// How long a tile may be out of sight before its live picture ends, and how often a still one is made anew, in ms.
const LEAVE = 2000;
const STILL = 5000;
// How long a tile may keep others from connecting.
const TURN = 1000;
// How long a remark stays.
const SAID = 5000;
// Widths that stills are asked for in, so that few sizes are made.
const WIDTHS = [320, 480, 640, 960, 1280];

// In these states nothing moves but the camera may well have a picture.
const STILLS = new Set(['busy', 'nocodec', 'nopath']);
// In these the last live picture stays, dimmed.
const LAST = new Set(['connecting', 'offline', 'away', 'limit']);
const SHORT = {
  connecting: '', live: '', stopped: '', busy: 'Still pictures: no place for another live one', nocodec: 'Still pictures: no codec in common',
  nopath: 'Still pictures: no network path',
};

// Turns lets a few connect at a time, so that sixteen do not keep the first one waiting.
export class Turns {
  #free;
  #waiting = [];

  constructor(count) {
    this.#free = count;
  }

  // take resolves to a function that gives the turn back.
  async take() {
    if (this.#free > 0) this.#free--;
    else await new Promise(resolve => { this.#waiting.push(resolve); });
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
  }
}

export class Tile {
  state = 'still';
  message = '';
  camera;

  #li;
  #img;
  #video;
  #note;
  #sound;
  #options;
  #view = null;
  #give = null; // gives the turn to connect back
  #seen = false;
  #awake = true;
  #wanted = false;
  #leave;
  #still;
  #loading = false;
  #said;
  #asked = false; // the connection that is being made is one with sound

  // options: port, ice, turns, stream(), onstate() and onsound(tile).
  constructor(li, options) {
    this.#li = li;
    this.#options = options;
    this.camera = li.dataset.camera;
    this.#img = li.querySelector('img');
    this.#video = li.querySelector('video');
    this.#note = li.querySelector('.tile-note');
    this.#sound = li.querySelector('.tile-sound');
    this.#sound.addEventListener('click', () => this.sound());
    this.#img.addEventListener('load', () => { li.dataset.still = ''; });
    this.#img.addEventListener('error', () => { delete li.dataset.still; });
    if (this.#img.complete && this.#img.naturalWidth) li.dataset.still = '';
  }

  get link() {
    return this.#li.querySelector('a');
  }

  get element() {
    return this.#li;
  }

  // see says whether the tile is in sight.
  see(seen) {
    this.#seen = seen;
    clearTimeout(this.#leave);
    if (seen) this.#follow();
    else this.#leave = setTimeout(() => this.#follow(), LEAVE);
  }

  // sleep ends the live picture until wake.
  sleep() {
    this.#awake = false;
    this.#follow();
  }

  wake() {
    this.#awake = true;
    this.#follow();
  }

  again() {
    this.#view?.again();
  }

  // restart takes up a changed choice of stream.
  restart() {
    if (!this.#wanted) return;
    this.#end();
    this.#begin();
  }

  // sound switches this tile's sound. It is not asked for before, as the device may have to convert it.
  sound(on = this.#video.muted) {
    if (on === !this.#video.muted || on && this.state !== 'live') return;
    this.#video.muted = !on;
    this.#sound.setAttribute('aria-pressed', String(on));
    this.#view?.setSound(on);
    if (on) this.#options.onsound(this);
  }

  #silent(why) {
    this.sound(false);
    clearTimeout(this.#said);
    this.#note.textContent = sentence(why);
    this.#said = setTimeout(() => { if (this.state === 'live') this.#note.textContent = ''; }, SAID);
  }

  #follow() {
    const wanted = this.#seen && this.#awake;
    if (wanted === this.#wanted) return;
    if (wanted) this.#begin();
    else this.#end();
  }

  async #begin() {
    this.#wanted = true;
    if (this.#li.dataset.still === undefined && this.#img.complete) this.#renew();
    const mine = this.#view = new LiveView(this.#video, {
      camera: this.camera,
      stream: Number(this.#li.dataset.streams) > 1 ? this.#options.stream() : '',
      signalingPort: this.#options.port,
      ice: this.#options.ice,
      sound: false,
      oninfo: info => { if (this.#view === mine && info.code === 'no-sound' && !this.#video.muted) this.#silent(info.message); },
      onstate: s => { if (this.#view === mine) this.#show(s); },
    });
    this.#show({state: 'connecting', message: 'Connecting…'});
    const give = await this.#options.turns.take();
    if (this.#view !== mine) {
      give();
      return;
    }
    this.#give = give;
    setTimeout(give, TURN);
    mine.start();
  }

  #end() {
    this.#wanted = false;
    this.#give?.();
    const view = this.#view;
    this.#view = null;
    view?.stop();
    this.sound(false);
    this.#show({state: 'still', message: ''});
  }

  #show({state, message, hint, audio = false}) {
    this.state = this.#li.dataset.state = state;
    this.message = message;
    if (state !== 'connecting') this.#give?.();
    if (state === 'live') {
      this.#li.dataset.live = '';
      // A still that is only on its way is no longer needed.
      if (!this.#img.complete) this.#img.removeAttribute('src');
    } else if (!LAST.has(state)) {
      delete this.#li.dataset.live;
    }
    const text = SHORT[state] ?? message;
    this.#sound.hidden = state !== 'live' && this.#video.muted;
    // The camera has none, and nobody had to say so.
    if (state === 'live' && !audio && !this.#video.muted && this.#asked) this.#silent('no sound: the camera sends none');
    this.#asked = !this.#video.muted;
    // Where there is a still picture, it says enough while the live one comes.
    this.#note.textContent = text || (state === 'connecting' && ('live' in this.#li.dataset || !('still' in this.#li.dataset)) ? message : '');
    this.#note.title = [message, hint].filter(Boolean).join('. ');
    clearInterval(this.#still);
    if (STILLS.has(state)) {
      this.#renew();
      this.#still = setInterval(() => this.#renew(), STILL);
    }
    this.#options.onstate();
  }

  // renew asks for another still picture; the old one stays until it is there.
  async #renew() {
    if (this.#loading || document.hidden) return;
    this.#loading = true;
    const wide = this.#li.clientWidth * devicePixelRatio;
    const next = new Image();
    next.src = `/cameras/${this.camera}/snapshot.jpg?w=${WIDTHS.find(w => w >= wide) ?? WIDTHS.at(-1)}&at=${Date.now()}`;
    try {
      await next.decode();
      this.#img.src = next.src;
      this.#li.dataset.stills = String(Number(this.#li.dataset.stills ?? 0) + 1);
    } catch { /* the old picture stays */ }
    this.#loading = false;
  }
}
