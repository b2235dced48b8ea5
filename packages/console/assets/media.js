// The page of all media: uploads by dragging or choosing, and the list kept up to date. upload.js does the sending.
import {Upload} from '/assets/upload.js';
import {refresh} from '/assets/refresh.js';

const atOnce = 2;
const list = document.querySelector('[data-uploads]');
const input = document.getElementById('files');
const drop = document.querySelector('[data-upload]');
const announce = document.querySelector('[data-say]');
const waiting = [];
let running = 0;

const now = refresh();

function size(n) {
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} GB`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
  return `${Math.max(1, Math.round(n / 1e3))} kB`;
}

function time(s) {
  if (!Number.isFinite(s)) return '';
  if (s < 60) return `${Math.max(1, Math.round(s))} s left`;
  if (s < 3600) return `${Math.round(s / 60)} min left`;
  return `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min left`;
}

function element(tag, props, ...children) {
  const n = Object.assign(document.createElement(tag), props);
  n.append(...children);
  return n;
}

function button(text, name, press) {
  const b = element('button', {type: 'button', className: 'small', textContent: text});
  b.setAttribute('aria-label', `${text}: ${name}`);
  b.addEventListener('click', press);
  return b;
}

// Row is one file's line.
class Row {
  constructor(file) {
    this.file = file;
    this.text = element('p', {className: 'detail'});
    this.bar = element('progress', {max: 1, value: 0});
    this.bar.setAttribute('aria-label', `Upload of ${file.name}`);
    this.buttons = element('p', {className: 'actions'});
    this.li = element('li', {}, element('h3', {textContent: file.name}), this.bar, this.text, this.buttons);
    list.append(this.li);
    this.wait();
  }

  wait() {
    this.upload = new Upload(this.file);
    this.upload.addEventListener('change', () => this.draw());
    this.held = false;
    this.text.textContent = 'Waiting for the others…';
    this.buttons.replaceChildren(button('Cancel', this.file.name, () => this.cancel()));
    waiting.push(this);
    next();
  }

  async start() {
    running++;
    await this.upload.start();
    running--;
    this.draw();
    next();
  }

  cancel() {
    const i = waiting.indexOf(this);
    if (i >= 0) waiting.splice(i, 1);
    this.upload.abort();
    this.li.remove();
    input.focus();
  }

  draw() {
    const u = this.upload;
    this.bar.value = u.total > 0 ? u.sent / u.total : 0;
    this.li.dataset.state = u.state;
    if (u.state === this.drawn && u.state !== 'uploading' && u.state !== 'offline') return;
    const other = u.state !== this.drawn;
    this.drawn = u.state;
    const percent = `${Math.floor(100 * this.bar.value)} % of ${size(u.total)}`;
    switch (u.state) {
      case 'uploading':
        this.text.textContent = [percent, Number.isFinite(u.rate) && u.rate > 0 ? `${size(u.rate)} a second` : '', time(u.left), u.resumed && !Number.isFinite(u.rate) ? 'goes on where it stopped' : ''].filter(Boolean).join(' · ');
        if (other) this.buttons.replaceChildren(button('Pause', this.file.name, () => this.pause()), button('Cancel', this.file.name, () => this.cancel()));
        break;
      case 'paused':
        this.text.textContent = `Paused at ${percent}`;
        this.buttons.replaceChildren(button('Go on', this.file.name, () => this.resume()), button('Cancel', this.file.name, () => this.cancel()));
        break;
      case 'offline':
        this.text.textContent = `The device does not answer. ${percent} is safe there; it is tried again by itself.`;
        if (other) this.buttons.replaceChildren(button('Cancel', this.file.name, () => this.cancel()));
        break;
      case 'checking':
        this.bar.removeAttribute('value');
        this.text.textContent = 'Checking what it is…';
        this.buttons.replaceChildren();
        break;
      case 'ready':
        this.ready();
        break;
      case 'refused':
        this.bar.hidden = true;
        this.text.className = 'reason';
        this.text.textContent = u.reason;
        this.buttons.replaceChildren(button('Try again', this.file.name, () => this.again()), button('Put away', this.file.name, () => this.cancel()));
        announce.textContent = `${this.file.name}: ${u.reason}`;
        break;
    }
  }

  pause() {
    this.upload.pause();
    this.buttons.querySelector('button')?.focus();
  }

  resume() {
    this.upload.resume();
    this.buttons.querySelector('button')?.focus();
  }

  again() {
    this.bar.hidden = false;
    this.text.className = 'detail';
    this.drawn = '';
    this.wait();
  }

  ready() {
    const {media} = this.upload;
    this.bar.value = 1;
    this.bar.hidden = true;
    const boards = media.plays.endsWith('.') ? media.plays : `${media.plays}.`;
    this.text.className = media.boards.every((b) => b.ok) ? 'done' : 'warned';
    this.text.textContent = ['Ready.', boards, ...(media.notes ?? [])].join(' ');
    const see = element('a', {href: `/media/${media.id}`, textContent: 'Look at it', className: 'button small'});
    see.setAttribute('aria-label', `Look at ${media.name}`);
    this.buttons.replaceChildren(see, button('Put away', this.file.name, () => this.cancel()));
    this.li.querySelector('h3').textContent = media.name;
    announce.textContent = `${media.name} is ready. ${boards}`;
    now();
  }
}

function next() {
  while (running < atOnce && waiting.length > 0) waiting.shift().start();
}

function take(files) {
  const names = new Set();
  for (const f of files) {
    names.add(f.name);
    new Row(f);
  }
  for (const li of list.querySelectorAll('[data-unfinished]')) {
    if (names.has(li.dataset.unfinished)) li.remove();
  }
  if (files.length > 0) list.firstElementChild.scrollIntoView({block: 'nearest'});
}

// What an earlier page began and did not end: the file itself is only in the person's hands.
function unfinished() {
  let keys = [];
  try {
    keys = Object.keys(localStorage).filter((k) => k.startsWith('porthole-upload '));
  } catch { /* no storage, nothing to go on with */ }
  for (const key of keys) {
    let name = '';
    try {
      [name] = JSON.parse(key.slice('porthole-upload '.length));
    } catch {
      continue;
    }
    const li = element('li', {}, element('h3', {textContent: name}),
      element('p', {className: 'detail', textContent: 'Not finished. Choose the same file again, and it goes on where it stopped.'}));
    li.dataset.unfinished = name;
    const forget = button('Give up', name, () => {
      const url = localStorage.getItem(key);
      localStorage.removeItem(key);
      if (url) fetch(url, {method: 'DELETE', headers: {'Tus-Resumable': '1.0.0'}}).catch(() => {});
      li.remove();
      input.focus();
    });
    li.append(element('p', {className: 'actions'}, button('Choose it', name, () => input.click()), forget));
    list.append(li);
  }
}

function chosen() {
  take([...input.files]);
  input.value = '';
}
input.addEventListener('change', chosen);

const carries = (e) => e.dataTransfer?.types.includes('Files');
let depth = 0;
function mark(on) {
  drop.classList.toggle('over', on);
}
addEventListener('dragenter', (e) => {
  if (!carries(e)) return;
  e.preventDefault();
  depth++;
  mark(true);
});
addEventListener('dragover', (e) => { if (carries(e)) e.preventDefault(); });
addEventListener('dragleave', (e) => { if (carries(e) && --depth <= 0) { depth = 0; mark(false); } });
addEventListener('drop', (e) => {
  if (!carries(e)) return;
  e.preventDefault();
  depth = 0;
  mark(false);
  // A folder comes as a file that cannot be read: it is left out.
  take([...e.dataTransfer.items].filter((i) => i.kind === 'file' && !i.webkitGetAsEntry?.()?.isDirectory).map((i) => i.getAsFile()).filter(Boolean));
});

// What is paused has been left on purpose already.
addEventListener('beforeunload', (e) => {
  if (waiting.length > 0 || list.querySelector('[data-state=uploading], [data-state=offline]') !== null) e.preventDefault();
});

// How many are marked stands on the bar below.
const bulk = document.querySelector('[data-selection]');
function marked() {
  const n = bulk.querySelectorAll('input[name=media]:checked').length;
  const text = bulk.querySelector('[data-marked]');
  if (text !== null) text.textContent = n === 0 ? 'With the marked ones:' : n === 1 ? 'With the one that is marked:' : `With the ${n} that are marked:`;
  bulk.querySelector('[data-bulk]')?.classList.toggle('ready', n > 0);
}
bulk.addEventListener('change', marked);
document.querySelector('[data-filter] select').addEventListener('change', (e) => e.target.form.requestSubmit());

unfinished();
marked();
// Somebody may have been quicker than this script.
if (input.files.length > 0) chosen();
