// Uploads a file of any size so that nothing is lost: a small client of tus 1.0 (https://tus.io/protocols/resumable-upload).
//
//   import { Upload } from '/assets/upload.js';
//   const u = new Upload(file);
//   u.addEventListener('change', () => draw(u.state, u.sent, u.total, u.reason, u.media));
//   await u.start();           // never rejects: the result is in u.state
//
// u.state is, in this order:
//   'waiting'    start() was not called yet
//   'uploading'  u.sent of u.total bytes are safe on the device; u.resumed says that it goes on where an earlier page stopped
//   'offline'    the device cannot be reached, it is tried again by itself; u.retryAt (ms since 1970) says when
//   'paused'     pause() was called; resume() goes on
//   'checking'   all is there, the device looks at it
//   'ready'      u.media is {id, name, kind, mime, width, height, duration_ms, boards: [{board, ok, tight, why}], plays, notes: ["…"]}
//   'refused'    u.reason is a sentence for people; trying again does not help unless it says so
//   'aborted'    abort() was called
// u.rate is bytes per second lately, u.left the seconds that are left (NaN while unknown).
// 'change' is fired at each change of any of these, at most some times a second.

const chunk = 8 << 20;           // the device makes each chunk durable before it answers
const version = '1.0.0';
const leastWait = 500, mostWait = 30000;
const prefix = 'porthole-upload ';

// Refused is an answer that stays the same however often one asks. keep: what is there stays there, the same file can go on.
class Refused extends Error {
  constructor(text, keep = false) {
    super(text);
    this.keep = keep;
  }
}

export class Upload extends EventTarget {
  state = 'waiting';
  sent = 0;
  reason = '';
  media = null;
  resumed = false;
  retryAt = 0;
  rate = NaN;

  #file;
  #url = '';
  #request = null;
  #wake = null;
  #held = null; // while paused: a promise, and what ends it
  #marks = [];
  #drawn = 0;
  #later = null;

  constructor(file) {
    super();
    this.#file = file;
    this.total = file.size;
    this.name = file.name;
  }

  get left() { return (this.total - this.sent) / this.rate; }

  // start sends the file and waits until the device has said what it thinks of it.
  async start() {
    if (this.state !== 'waiting') return;
    const online = () => this.#wake?.();
    addEventListener('online', online);
    try {
      this.#set({ state: 'uploading' });
      await this.#insist(() => this.#begin());
      while (this.sent < this.total) {
        await this.#insist(() => this.#send(), () => this.#find());
      }
      this.#set({ state: 'checking' });
      await this.#watch();
    } catch (err) {
      if (this.state === 'aborted') return;
      if (!err.keep) this.#forget();
      this.#set({ state: 'refused', reason: err instanceof Refused ? err.message : String(err) });
    } finally {
      removeEventListener('online', online);
    }
  }

  // pause stops sending until resume is called; what is on the device stays there.
  pause() {
    if (this.state !== 'uploading' && this.state !== 'offline') return;
    const held = {};
    held.over = new Promise((go) => { held.go = go; });
    this.#held = held;
    this.#set({ state: 'paused', rate: NaN });
    this.#marks = [];
    this.#request?.abort();
    this.#wake?.();
  }

  resume() {
    if (this.state !== 'paused') return;
    this.#set({ state: 'uploading' });
    this.#release();
  }

  #release() {
    this.#held?.go();
    this.#held = null;
  }

  // abort ends the upload and removes from the device what is there of it.
  abort() {
    if (['ready', 'refused', 'aborted'].includes(this.state)) return;
    this.#set({ state: 'aborted' });
    this.#request?.abort();
    this.#wake?.();
    this.#release();
    this.#forget();
    if (this.#url) {
      fetch(this.#url, { method: 'DELETE', headers: { 'Tus-Resumable': version } }).catch(() => {});
    }
  }

  // #insist repeats step until it succeeds or is refused, with growing pauses. After a failure mend takes step's place.
  async #insist(step, mend = step) {
    for (let failures = 0, next = step; ; next = mend) {
      await this.#held?.over;
      this.#stopIfAborted();
      try {
        await next();
        if (this.state === 'offline') this.#set({ state: 'uploading' });
        return;
      } catch (err) {
        this.#stopIfAborted();
        if (err instanceof Refused) throw err;
        // Cut short by pause: go on from what the device has.
        if (this.#held) {
          failures = 0;
          continue;
        }
      }
      failures++;
      this.#marks = [];
      const most = Math.min(leastWait * 2 ** Math.min(failures - 1, 10), mostWait);
      await this.#pause(most / 2 + Math.random() * most / 2);
    }
  }

  async #pause(ms) {
    this.#set({ state: 'offline', retryAt: Date.now() + ms, rate: NaN });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
    this.#wake = null;
  }

  #stopIfAborted() {
    if (this.state === 'aborted') throw new Refused('aborted');
  }

  // #begin finds the upload that an earlier page has begun, or makes a new one.
  async #begin() {
    const known = this.#remembered();
    if (known) {
      const offset = await this.#ask(known);
      if (offset !== null) {
        this.#url = known;
        this.#set({ sent: offset, resumed: offset > 0 });
        return;
      }
      this.#forget();
    }
    const f = this.#file;
    const fields = ['filename ' + base64(f.name)];
    if (f.lastModified) fields.push('lastmodified ' + base64(String(f.lastModified)));
    const res = await this.#fetch('/uploads/', {
      method: 'POST', headers: { 'Upload-Length': String(f.size), 'Upload-Metadata': fields.join(',') },
    });
    if (res.status !== 201) await this.#complain(res);
    this.#url = new URL(res.headers.get('Location'), location.href).pathname;
    this.sent = 0;
    this.#remember();
  }

  // #ask returns how much of the upload at url is there, null if the device does not know it (any more).
  async #ask(url) {
    const res = await this.#fetch(url, { method: 'HEAD' });
    if (res.status === 404 || res.status === 410) return null;
    if (res.status !== 200) await this.#complain(res);
    return Number(res.headers.get('Upload-Offset'));
  }

  // #find goes on where the device says; one that has lost the upload gets it anew.
  async #find() {
    const offset = await this.#ask(this.#url);
    if (offset !== null) {
      this.#set({ sent: offset });
      return;
    }
    this.#forget();
    await this.#begin();
  }

  async #send() {
    const from = this.sent;
    const res = await this.#fetch(this.#url, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(from) },
      body: this.#file.slice(from, from + chunk),
    });
    if (res.status === 409) {
      await this.#find();
      return;
    }
    if (res.status !== 204) await this.#complain(res);
    const sent = Number(res.headers.get('Upload-Offset'));
    this.#measure(sent);
    this.#set({ sent, state: this.#held ? 'paused' : 'uploading' });
  }

  // #measure keeps the rate over the last ten seconds or so.
  #measure(sent) {
    const now = Date.now();
    this.#marks.push([now, sent]);
    while (this.#marks.length > 2 && now - this.#marks[0][0] > 10000) this.#marks.shift();
    const [[t, n]] = this.#marks;
    this.rate = now > t ? (sent - n) * 1000 / (now - t) : NaN;
  }

  async #watch() {
    for (let wait = 300; ; wait = Math.min(wait * 1.5, 3000)) {
      let status = null;
      await this.#insist(async () => { status = await this.#status(); });
      if (!status) throw new Refused('The device has forgotten this upload. Look whether the file is in the list; if not, upload it again.');
      if (status.state === 'ready') {
        this.#forget();
        this.#set({ state: 'ready', media: status.media });
        return;
      }
      if (status.state === 'refused') throw new Refused(status.reason);
      this.#set({ state: 'checking' });
      await new Promise((resolve) => setTimeout(resolve, wait));
      this.#stopIfAborted();
    }
  }

  async #status() {
    const id = this.#url.split('/').pop();
    const res = await this.#fetch('/media/status?upload=' + encodeURIComponent(id), { headers: { Accept: 'application/json' } });
    if (res.status === 404) return null;
    if (res.status !== 200) await this.#complain(res);
    return res.json();
  }

  async #fetch(url, options) {
    this.#request = new AbortController();
    const res = await fetch(url, {
      ...options, signal: this.#request.signal, redirect: 'manual', credentials: 'same-origin',
      headers: { 'Tus-Resumable': version, ...options.headers },
    });
    if (res.type === 'opaqueredirect' || res.status === 401) throw new Refused('You are logged out. Log in again, then drop the file here once more: it goes on where it stopped.', true);
    return res;
  }

  // #complain throws what the answer says; overload and a restarting device are worth another try.
  async #complain(res) {
    let text = '';
    try { text = (await res.json()).error; } catch { /* no answer of ours */ }
    const refused = res.status >= 400 && res.status < 500 && ![408, 409, 423, 425, 429].includes(res.status) || res.status === 507;
    if (!refused) throw new Error(text || 'answered ' + res.status);
    throw new Refused(text || 'The device refused the file (' + res.status + ').', [401, 403, 507].includes(res.status));
  }

  #key() {
    const f = this.#file;
    return prefix + JSON.stringify([f.name, f.size, f.lastModified]);
  }

  // Without storage (a private window) an upload goes on only while the page is open.
  #remembered() { try { return localStorage.getItem(this.#key()); } catch { return null; } }
  #remember() { try { localStorage.setItem(this.#key(), this.#url); } catch { /* see above */ } }
  #forget() { try { localStorage.removeItem(this.#key()); } catch { /* see above */ } }

  #set(news) {
    if (this.state === 'aborted') return; // an answer that was on its way
    const other = news.state && news.state !== this.state;
    Object.assign(this, news);
    const now = Date.now();
    if (!other && now - this.#drawn < 100) {
      // The last news of a burst is told too, only later.
      this.#later ??= setTimeout(() => this.#set({}), 100);
      return;
    }
    clearTimeout(this.#later);
    this.#later = null;
    this.#drawn = now;
    this.dispatchEvent(new Event('change'));
  }
}

function base64(text) {
  let bytes = '';
  for (const b of new TextEncoder().encode(text)) bytes += String.fromCharCode(b);
  return btoa(bytes);
}
