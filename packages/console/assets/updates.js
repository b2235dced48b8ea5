// The page of updates: reads an update file here, in the browser, sends what the device needs of it, and follows the device
// through its restart. Without this script the form sends the whole file, and the page has to be loaded anew to see more.
import {refresh} from '/assets/refresh.js';

const api = '/api/v1/update';
const block = 512; // of a tar (POSIX.1-1988, "ustar")
const maxManifest = 64 << 10;
const maxSignature = 4 << 10;
const root = document.querySelector('[data-refresh]');
const running = root.dataset.page;
const section = root.querySelector('.progressing');
const sending = document.getElementById('sending');

const size = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : n >= 1e6 ? `${Math.round(n / 1e6)} MB` : `${Math.ceil(n / 1e3)} kB`);
const marked = () => root.querySelector('[data-now]').dataset;
let ownUpload = false;

// What restarts does not answer for a while. The last phase that was heard of says that this is no fault.
const now = refresh({
  pause: () => ('busy' in marked() || ownUpload ? 1000 : 5000),
  away: () => (['ready', 'restarting', 'trying'].includes(marked().now) ? 'The device restarts. This page comes back by itself.' : ''),
  done() {
    section.dataset.phase = marked().now;
    // Another version has other pages.
    if (marked().running !== running && running !== '' && !ownUpload) location.reload();
  },
});

// Refused is what cannot be helped by trying again.
class Refused extends Error {
  constructor(text, code = '') {
    super(text);
    this.code = code;
  }
}

const noUpdate = 'This is not an update for Porthole: choose the file whose name ends in .update.';

async function bytes(file, from, length) {
  const slice = file.slice(from, from + length);
  if (slice.size !== length) throw new Refused('The update file is cut short: it did not come over whole. Get it again.');
  try {
    return new Uint8Array(await slice.arrayBuffer());
  } catch {
    throw new Refused('The file cannot be read any more. Choose it again.');
  }
}

const text = (b) => new TextDecoder().decode(b);

// members returns the members of a tar: their headers are all that is read.
async function members(file) {
  const found = new Map();
  let at = 0;
  while (at + block <= file.size && found.size < 8) {
    const h = await bytes(file, at, block);
    if (h.every((b) => b === 0)) break;
    const field = (from, length) => text(h.subarray(from, from + length)).split('\0')[0].trim();
    const name = field(0, 100);
    const length = parseInt(field(124, 12), 8);
    let sum = 0;
    for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 32 : h[i];
    if (sum !== parseInt(field(148, 8), 8) || !Number.isSafeInteger(length) || length < 0 || !['0', ''].includes(field(156, 1))) throw new Refused(noUpdate);
    if (found.size === 0 && name !== 'manifest.json') throw new Refused(noUpdate);
    if (at + block + length > file.size) throw new Refused('The update file is cut short: it did not come over whole. Get it again.');
    found.set(name, {from: at + block, length});
    at += block + Math.ceil(length / block) * block;
  }
  return found;
}

// read takes an update file apart.
async function read(file) {
  const all = await members(file);
  const manifest = all.get('manifest.json');
  const signature = all.get('manifest.json.minisig');
  if (!manifest || !signature || manifest.length > maxManifest || signature.length > maxSignature) throw new Refused(noUpdate);
  const raw = await bytes(file, manifest.from, manifest.length);
  let m;
  try {
    m = JSON.parse(text(raw));
  } catch {
    throw new Refused(noUpdate);
  }
  if (m?.product !== 'porthole' || typeof m.version !== 'string' || !Array.isArray(m.parts)) throw new Refused(noUpdate);
  const parts = new Map();
  for (const p of m.parts) {
    const where = all.get({boot: 'boot.tar', root: 'root.squashfs'}[p?.name] + (p?.encoding === 'zstd' ? '.zst' : ''));
    if (!where || where.length !== p.stored_size) throw new Refused('The update file is damaged or incomplete. Get it again.');
    parts.set(p.name, file.slice(where.from, where.from + where.length));
  }
  return {raw, signature: text(await bytes(file, signature.from, signature.length)), version: m.version, built: m.built, parts};
}

function base64(b) {
  let s = '';
  for (let i = 0; i < b.length; i += 8192) s += String.fromCharCode(...b.subarray(i, i + 8192));
  return btoa(s);
}

async function answer(status, body) {
  let says = null;
  try { says = JSON.parse(body); } catch { /* no answer of ours */ }
  if (status >= 200 && status < 300 && says) return says;
  if (status === 401) throw new Refused('You are logged out. Log in again, then send the file once more: it goes on where it stopped.');
  throw new Refused(says?.error ?? `The device answered ${status}. Try again.`, says?.code);
}

async function call(path, body) {
  let res;
  try {
    res = await fetch(api + path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body), credentials: 'same-origin'});
  } catch {
    throw new Refused('The device does not answer. Try again; what has arrived is kept.');
  }
  return answer(res.status, await res.text());
}

// put sends a part; XMLHttpRequest says how far it is.
function put(name, blob, progress) {
  return new Promise((ok, no) => {
    const r = new XMLHttpRequest();
    r.upload.onprogress = (e) => progress(e.loaded);
    r.onerror = () => no(new Refused('The connection broke off. Send the file again: it goes on, parts that have arrived are kept.'));
    r.onload = () => answer(r.status, r.responseText).then(ok, no);
    r.open('PUT', `${api}/parts/${encodeURIComponent(name)}`);
    r.setRequestHeader('Content-Type', 'application/octet-stream');
    r.send(blob);
  });
}

function say(words, done = 0, all = 0) {
  sending.hidden = words === '';
  const p = sending.querySelector('[data-say]');
  if (p.textContent !== words) p.textContent = words;
  const bar = sending.querySelector('progress');
  bar.hidden = all === 0;
  bar.max = all || 1;
  bar.value = done;
}

// wrong says under the form what is wrong; the form may have been replaced meanwhile.
function wrong(words) {
  const p = document.querySelector('form[data-update] [data-wrong]');
  if (p) {
    p.textContent = words;
    p.hidden = words === '';
    if (words) say('');
  } else {
    say(words);
  }
}

async function send(u, wish) {
  let status = await call('/manifest', {manifest: base64(u.raw), signature: u.signature, ...wish});
  const needed = status.parts.filter((p) => p.step === 'waiting').map((p) => p.name);
  const all = needed.reduce((n, name) => n + u.parts.get(name).size, 0);
  const saved = [...u.parts.values()].reduce((n, b) => n + b.size, 0) - all;
  const rest = saved > 0 ? ` The device has ${size(saved)} of it already.` : '';
  let before = 0;
  now();
  for (const name of needed) {
    const blob = u.parts.get(name);
    const words = `${u.version} is being sent: ${size(all)}.${rest} Keep this page open.`;
    say(words, before, all);
    status = await put(name, blob, (n) => say(n < blob.size ? words : `${words} The device writes and reads it back.`, before + n, all));
    before += blob.size;
  }
  say('');
}

// confirm shows what will happen before anything is sent.
async function choose(form) {
  const file = form.querySelector('input[type=file]').files[0];
  const box = form.querySelector('[data-confirm]');
  box.replaceChildren();
  box.hidden = true;
  delete form.dataset.ready;
  wrong('');
  if (!file) return null;
  let u;
  try {
    u = await read(file);
  } catch (err) {
    wrong(err instanceof Refused ? err.message : String(err));
    return null;
  }
  const p = document.createElement('p');
  const strong = document.createElement('strong');
  strong.textContent = `${running} → ${u.version}`;
  const built = new Date(u.built);
  const most = [...u.parts.values()].reduce((n, b) => n + b.size, 0);
  p.append(strong, `${Number.isNaN(built.getTime()) ? '' : `, built ${built.toISOString().slice(0, 10)}`}. At most ${size(most)} are sent; what the device has already is left out. What runs goes on until the device restarts: then its screens go dark for a minute or two.`);
  box.append(p);
  box.hidden = false;
  return u;
}

let chosen = null;
document.addEventListener('change', (e) => {
  const form = e.target.closest?.('form[data-update]');
  if (form && e.target.type === 'file') chosen = choose(form);
});
document.addEventListener('submit', async (e) => {
  const form = e.target;
  if (!form.matches('form[data-update]')) return;
  e.preventDefault();
  if (ownUpload) return;
  ownUpload = true;
  const button = form.querySelector('button');
  button.disabled = true;
  document.activeElement?.blur();
  try {
    const u = await (chosen ?? choose(form));
    if (u) await send(u, {downgrade: form.elements.downgrade.checked, install: form.elements.install.checked});
  } catch (err) {
    // The form comes back first, if it is away.
    ownUpload = false;
    await now();
    const older = err.code === 'older' && document.querySelector('[data-older] label');
    wrong(err instanceof Refused ? err.message : String(err));
    if (older) document.getElementById('file-downgrade').focus();
  } finally {
    ownUpload = false;
    button.disabled = false;
    now();
  }
});
// A form that the browser kept over a reload.
addEventListener('pageshow', () => {
  const form = document.querySelector('form[data-update]');
  if (form?.querySelector('input[type=file]').files.length > 0) chosen = choose(form);
});
