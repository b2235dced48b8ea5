// The viewer page around a LiveView.
import {LiveView} from './viewer.js';

const $ = id => document.getElementById(id);
const live = $('live');
const video = $('video');
const stage = $('stage');
const {camera, stream, port, forced} = live.dataset;

const facts = new Map();

function fact(name, value) {
  let dd = facts.get(name);
  if (!dd) {
    const div = document.createElement('div');
    const dt = document.createElement('dt');
    dd = document.createElement('dd');
    dt.textContent = name;
    div.append(dt, dd);
    $('facts').append(div);
    facts.set(name, dd);
  }
  dd.textContent = value;
}

function show({state, message, hint, still, audio}) {
  const badge = $('badge');
  badge.textContent = {live: 'live', offline: 'offline', connecting: 'connecting'}[state] ?? 'no picture';
  badge.dataset.state = state === 'live' ? 'live' : state === 'connecting' ? 'connecting' : 'trouble';
  if (state === 'live') delete stage.dataset.empty;
  stage.toggleAttribute('data-stale', state !== 'live');
  $('message').hidden = !message;
  $('message').toggleAttribute('data-still', still);
  $('text').textContent = message;
  $('hint').textContent = hint;
  if (state === 'unauthorized') {
    const a = document.createElement('a');
    a.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    a.textContent = 'Log in';
    $('hint').replaceChildren(a);
  }
  if (state === 'live') $('sound').hidden = !audio;
}

function log({time, text}) {
  const li = document.createElement('li');
  const t = document.createElement('time');
  t.dateTime = time.toISOString();
  t.textContent = time.toLocaleTimeString();
  li.append(t, ' ', text);
  $('log').append(li);
  if (text.startsWith('First picture')) fact('First picture', text.replace('First picture after ', ''));
  while ($('log').children.length > 100) $('log').firstChild.remove();
}

const view = new LiveView(video, {
  camera,
  stream,
  signalingPort: Number(port),
  forcePort: forced !== undefined,
  onstate: show,
  onlog: log,
  oninfo: info => { if (info.code === 'no-sound') $('note').textContent = info.message[0].toUpperCase() + info.message.slice(1); },
  onstats: all => { for (const [name, value] of Object.entries(all)) fact(name, value); },
});

function sound() {
  if ($('sound').hidden) return;
  video.muted = !video.muted;
  $('sound').textContent = video.muted ? 'Sound on' : 'Sound off';
  $('sound').setAttribute('aria-pressed', String(!video.muted));
}

function pause() {
  if (video.paused) video.play().catch(() => {});
  else video.pause();
}

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (stage.requestFullscreen) stage.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.(); // iPhones know only this one
}

video.addEventListener('pause', () => { $('pause').textContent = 'Play'; $('pause').setAttribute('aria-pressed', 'true'); });
video.addEventListener('play', () => { $('pause').textContent = 'Pause'; $('pause').setAttribute('aria-pressed', 'false'); });
$('sound').addEventListener('click', sound);
$('pause').addEventListener('click', pause);
$('full').addEventListener('click', full);
stage.addEventListener('dblclick', full);

document.addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.repeat) return;
  // A focused button or link has its own idea of the space bar.
  const focused = e.target.closest?.('button, a, summary, input');
  switch (e.key) {
    case 'f': full(); break;
    case 'm': sound(); break;
    case ' ':
      if (focused) return;
      e.preventDefault();
      pause();
      break;
    case 'Escape':
      // Browsers leave full screen by themselves.
      if (!document.fullscreenElement) location.href = '/';
      break;
  }
});

view.start();
