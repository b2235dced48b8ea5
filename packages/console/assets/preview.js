// Plays a draft as a screen would: what comes next is loaded while the present thing is still shown, and takes its
// place only when it has a picture.
const stage = document.querySelector('[data-stage]');
const frame = document.querySelector('[data-frame]');
const caption = document.querySelector('[data-caption]');
const bar = document.querySelector('[data-progress]');
const list = [...document.querySelectorAll('[data-items] > li')];
const buttons = Object.fromEntries([...document.querySelectorAll('[data-do]')].map((b) => [b.dataset.do, b]));
const patience = 15000; // ms until what does not load is passed over

let at = -1;
let shown = null; // {node, li, stop, video}
let left = 0; // ms of the present thing
let paused = false;
let turn = 0; // counts what was asked for, so that what comes late is thrown away

const isMuted = (name, text) => {
  const n = document.createElement('div');
  n.className = 'layer words small';
  n.append(...[name, text].map((t) => Object.assign(document.createElement('p'), {textContent: t})));
  return n;
};

// makers return a node, when it has something to show, how to stop it and its video if its end counts.
const makers = {
  async image(li) {
    const node = new Image();
    node.alt = '';
    node.className = 'layer';
    node.src = li.dataset.src;
    await node.decode();
    return {node};
  },
  async video(li) {
    const node = document.createElement('video');
    node.className = 'layer';
    node.muted = true;
    node.playsInline = true;
    node.preload = 'auto';
    node.src = li.dataset.src;
    await new Promise((ok, no) => {
      node.addEventListener('loadeddata', ok, {once: true});
      node.addEventListener('error', () => no(new Error('this browser does not know the video’s format; the screens may')), {once: true});
    });
    return {node, video: node, stop: () => { node.pause(); node.removeAttribute('src'); node.load(); }};
  },
  async camera(li) {
    const {LiveView} = await import('/livestream/viewer.js');
    const node = document.createElement('video');
    node.className = 'layer';
    node.muted = true;
    node.playsInline = true;
    const view = new LiveView(node, {
      camera: li.dataset.src, sound: false,
      onstate({state, message, hint}) { if (shown?.node === node) say(li, state === 'live' ? '' : [message, hint].filter(Boolean).join('. ')); },
    });
    view.start();
    return {node, stop: () => view.stop()};
  },
  async stream(li) {
    return {node: isMuted(li.dataset.src, 'This stream plays on the screens. A browser cannot show it.')};
  },
  async text(li) {
    const node = document.createElement('div');
    node.className = 'layer words';
    // The longer the text, the smaller the letters: as on the screens, all of it is seen.
    const length = li.dataset.text.length;
    node.dataset.size = length < 20 ? 'xl' : length < 60 ? 'l' : length < 160 ? 'm' : 's';
    const p = document.createElement('p');
    p.textContent = li.dataset.text;
    node.append(p);
    return {node};
  },
};

function say(li, more = '') {
  const name = li.querySelector('strong').textContent;
  caption.textContent = `${list.indexOf(li) + 1} of ${list.length}: ${name}${more ? ` – ${more}` : ''}`;
}

async function show(index) {
  const mine = ++turn;
  at = (index + list.length) % list.length;
  const li = list[at];
  let made;
  try {
    made = await Promise.race([
      makers[li.dataset.kind](li),
      new Promise((_, no) => { setTimeout(() => no(new Error('it does not load')), patience); }),
    ]);
  } catch (err) {
    made = {node: isMuted(li.querySelector('strong').textContent, `It cannot be shown here: ${err.message || 'it does not load'}.`)};
  }
  if (mine !== turn) {
    made.stop?.();
    return;
  }
  const old = shown;
  shown = {...made, li};
  made.node.dataset.fit = li.dataset.fit;
  stage.append(made.node);
  left = Number(li.dataset.ms) || (made.video ? Infinity : 10000);
  if (made.video) {
    made.video.addEventListener('ended', () => { if (shown?.video === made.video) show(at + 1); });
    if (!paused) made.video.play().catch(() => {});
    // A video that is shown longer than it lasts begins again.
    made.video.loop = left !== Infinity;
  }
  for (const other of list) other.toggleAttribute('aria-current', other === li);
  say(li);
  const fade = stage.classList.contains('crossfade') && !matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (fade) made.node.classList.add('coming');
  requestAnimationFrame(() => requestAnimationFrame(() => made.node.classList.remove('coming')));
  if (old) setTimeout(() => { old.stop?.(); old.node.remove(); }, fade ? 700 : 0);
}

let last = performance.now();
setInterval(() => {
  const now = performance.now();
  const passed = now - last;
  last = now;
  if (shown === null || paused || document.hidden) return;
  const v = shown.video;
  const all = left === Infinity ? v?.duration ?? 0 : Number(shown.li.dataset.ms) || 10000;
  if (left === Infinity) {
    bar.value = all ? v.currentTime / all : 0;
    return;
  }
  left -= passed;
  bar.value = Math.min(1, 1 - left / all);
  if (left <= 0) {
    left = Infinity; // once
    show(at + 1);
  }
}, 100);

function pause() {
  paused = !paused;
  buttons.pause.setAttribute('aria-pressed', String(paused));
  buttons.pause.textContent = paused ? 'Go on' : 'Pause';
  if (shown?.video) paused ? shown.video.pause() : shown.video.play().catch(() => {});
}

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.requestFullscreen().catch(() => {});
}

function tip() {
  const on = stage.classList.toggle('portrait');
  buttons.turn.setAttribute('aria-pressed', String(on));
}

const does = {back: () => show(at - 1), next: () => show(at + 1), pause, full, turn: tip};
frame?.addEventListener('click', (e) => does[e.target.closest('[data-do]')?.dataset.do]?.());
document.addEventListener('keydown', (e) => {
  if (e.altKey || e.ctrlKey || e.metaKey || e.target.closest('input, select, textarea')) return;
  const key = {ArrowLeft: 'back', ArrowRight: 'next', f: 'full', F: 'full'}[e.key] ?? (e.key === ' ' && !e.target.closest('button, a') ? 'pause' : undefined);
  if (key === undefined) return;
  e.preventDefault();
  does[key]();
});
addEventListener('pagehide', () => shown?.stop?.());

if (list.length > 0) show(0);
