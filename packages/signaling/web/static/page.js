// The viewer page around a LiveView: one camera, and the way to the others.
import {Controls} from './controls.js';
import {sentence} from './reasons.js';
import {LiveView} from './viewer.js';

const $ = id => document.getElementById(id);
const {port, forced, ice} = $('live').dataset;
let {camera, stream} = $('live').dataset;
const video = $('video');
const stage = $('stage');
const others = [...$('others').querySelectorAll('a')];
const name = () => others.find(a => a.dataset.camera === camera)?.textContent ?? $('name').textContent;

let view = null;
const facts = new Map();
const notes = new Map();

function fact(list, name, value) {
  const key = `${list.id} ${name}`;
  let dd = facts.get(key);
  if (!dd) {
    const div = document.createElement('div');
    const dt = document.createElement('dt');
    dd = document.createElement('dd');
    dt.textContent = name;
    div.append(dt, dd);
    list.append(div);
    facts.set(key, dd);
  }
  dd.textContent = value;
}

function note(code, text) {
  if (text) notes.set(code, sentence(text));
  else notes.delete(code);
  $('note').textContent = [...notes.values()].join('. ');
}

const BADGES = {live: 'live', offline: 'offline', connecting: 'connecting', limit: 'ended'};

function show({state, message, hint, still, audio}) {
  const badge = $('badge');
  badge.textContent = BADGES[state] ?? 'no picture';
  badge.dataset.state = state === 'live' || state === 'connecting' ? state : 'trouble';
  if (state === 'live') delete stage.dataset.empty;
  else controls.wake();
  stage.toggleAttribute('data-stale', state !== 'live');
  $('message').hidden = !message;
  $('message').toggleAttribute('data-still', still);
  $('text').textContent = message;
  $('hint').textContent = hint;
  const again = $('again');
  const had = again.hidden;
  again.hidden = state !== 'limit';
  if (had && !again.hidden) again.focus();
  if (state === 'unauthorized') {
    const a = document.createElement('a');
    a.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    a.textContent = 'Log in';
    $('hint').replaceChildren(a);
  }
  if (state === 'live') controls.hasSound(audio);
}

function log({time, text}) {
  const li = document.createElement('li');
  const t = document.createElement('time');
  t.dateTime = time.toISOString();
  t.textContent = time.toLocaleTimeString();
  li.append(t, ' ', text);
  $('log').append(li);
  if (text.startsWith('First picture')) fact($('facts'), 'First picture', text.replace('First picture after ', ''));
  while ($('log').children.length > 100) $('log').firstChild.remove();
}

function play() {
  notes.clear();
  note('');
  view = new LiveView(video, {
    camera,
    stream,
    signalingPort: Number(port),
    forcePort: forced !== undefined,
    ice: ice !== undefined,
    onstate: show,
    onlog: log,
    oninfo: info => { if (info.code === 'no-sound' || info.code === 'transcoded') note(info.code, info.message); },
    onstats(all, brief) {
      for (const [name, value] of Object.entries(all)) fact($('facts'), name, value);
      for (const [name, value] of Object.entries(brief)) fact($('overlay'), name, value);
    },
  });
  view.start();
}

// choose shows another camera or stream in the same page: full screen and the small window stay.
function choose(id, which = '') {
  if (id === camera && which === stream) return;
  const other = id !== camera;
  camera = id;
  stream = which;
  view.stop();
  // The last picture of another camera must not pass for this one's.
  stage.dataset.empty = '';
  for (const dd of facts.values()) dd.textContent = '–';
  if (other) controls.hasSound(false);
  const here = new URL(location.href);
  here.searchParams.set('camera', id);
  if (which) here.searchParams.set('stream', which);
  else here.searchParams.delete('stream');
  history.replaceState(null, '', here);
  dress();
  play();
}

// dress writes the camera's name and its streams.
function dress() {
  $('name').textContent = name();
  document.title = `${name()} – live`;
  video.setAttribute('aria-label', `Live picture of ${name()}`);
  for (const a of others) {
    if (a.dataset.camera === camera) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  const count = Number(others.find(a => a.dataset.camera === camera)?.dataset.streams ?? 1);
  const select = $('stream');
  select.hidden = count < 2;
  select.replaceChildren(...Array.from({length: count}, (_, i) => new Option(`Stream ${i + 1}`, i ? String(i + 1) : '')));
  select.value = Number(stream) > 1 ? stream : '';
  $('back').href = back();
}

// Who came from the wall goes back to it, and to this camera on it.
const fromWall = (() => {
  const before = document.referrer && new URL(document.referrer);
  return Boolean(before) && before.origin === location.origin && before.pathname === '/live';
})();

function back() {
  return fromWall ? `/live#camera-${camera}` : '/';
}

function step(by) {
  const at = others.findIndex(a => a.dataset.camera === camera);
  if (others.length > 1) choose(others[(at + by + others.length) % others.length].dataset.camera);
}

const controls = new Controls({
  step: others.length > 1 ? step : null,
  back: () => { location.href = back(); },
});
$('others').addEventListener('click', e => {
  const a = e.target.closest('a');
  if (!a || e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  choose(a.dataset.camera);
});
$('stream').addEventListener('change', e => choose(camera, e.target.value));
$('again').addEventListener('click', () => view.again());

play();
dress();
