// The wall: every camera that the person may see, live while it is in sight.
import {columns, neighbour} from './grid.js';
import {Tile, Turns} from './tile.js';

const $ = id => document.getElementById(id);
// A page that nobody looks at stops after that long, in ms.
const HIDDEN = 20000;
// How often a wall that hangs in a room looks for new cameras.
const LOOK = 60000;
// How many connect at the same time.
const AT_ONCE = 6;
const STREAM = 'porthole-wall-stream';

const wall = $('wall');
const grid = $('grid');
const {port, ice} = wall.dataset;
const turns = new Turns(AT_ONCE);
const tiles = [...grid.querySelectorAll('.tile')].map(li => new Tile(li, {
  port: Number(port), ice: ice !== undefined, turns,
  stream: () => $('stream').value,
  onstate: told,
  // One at a time is heard.
  onsound: on => { for (const t of tiles) if (t !== on) t.sound(false); },
}));
const byElement = new Map(tiles.map(t => [t.element, t]));

// told sums up what the tiles say.
function told() {
  const count = state => tiles.filter(t => t.state === state).length;
  const live = count('live');
  const badge = $('badge');
  badge.hidden = false;
  badge.textContent = `${live} of ${tiles.length} live`;
  badge.dataset.state = live ? 'live' : 'connecting';
  const limit = count('limit') > 0;
  const out = count('unauthorized') > 0;
  const told = $('told');
  if (told.hidden !== (!limit && !out)) {
    told.hidden = !told.hidden;
    layout();
  }
  $('again').hidden = !limit;
  $('login').hidden = !out;
  $('login').href = `/login?next=${encodeURIComponent('/live')}`;
  $('text').textContent = out ? 'You are not logged in' : limit ? tiles.find(t => t.state === 'limit').message : '';
}

// layout makes the tiles as large as they all fit, or as many across as are still worth looking at.
function layout() {
  const style = getComputedStyle(grid);
  const gap = parseFloat(style.columnGap) || 0;
  const top = grid.getBoundingClientRect().top + (document.fullscreenElement ? wall.scrollTop : scrollY);
  const below = parseFloat(getComputedStyle(wall).paddingBottom) || 0;
  const {count, width} = columns(tiles.length, grid.clientWidth, innerHeight - top - below, gap);
  grid.style.setProperty('--columns', String(count));
  grid.style.setProperty('--tile', `${width}px`);
}

const sight = new IntersectionObserver(list => {
  for (const e of list) byElement.get(e.target).see(e.isIntersecting);
}, {rootMargin: '80px'});

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else wall.requestFullscreen?.().catch(() => {});
}

function focused() {
  return byElement.get(document.activeElement?.closest?.('.tile'));
}

function key(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest?.('select')) return;
  const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
  if (by) {
    const at = tiles.indexOf(focused());
    const to = at < 0 ? 0 : neighbour(tiles.length, Number(grid.style.getPropertyValue('--columns')), at, ...by);
    tiles[to].link.focus();
    tiles[to].element.scrollIntoView({block: 'nearest'});
    e.preventDefault();
    return;
  }
  if (e.repeat) return;
  switch (e.key) {
    case 'f': full(); break;
    case 'm': (focused() ?? tiles.find(t => t.state === 'live'))?.sound(); break;
    case 'Escape':
      // Browsers leave full screen by themselves.
      if (!document.fullscreenElement) location.href = '/';
      break;
  }
}

// look reloads the page when there are other cameras than before.
async function look() {
  if (document.hidden) return;
  try {
    const res = await fetch('/live', {headers: {Accept: 'text/html'}, redirect: 'error', signal: AbortSignal.timeout(10000)});
    if (!res.ok) return;
    const fresh = new DOMParser().parseFromString(await res.text(), 'text/html');
    const names = d => [...d.querySelectorAll('.tile')].map(li => `${li.dataset.camera} ${li.dataset.streams} ${li.querySelector('.tile-name').textContent}`).join('\n');
    if (names(fresh) !== names(document)) location.reload();
  } catch { /* the server is away: the tiles say so */ }
}

let hidden;
document.addEventListener('visibilitychange', () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => tiles.forEach(t => t.sleep()), HIDDEN);
  else tiles.forEach(t => t.wake());
});
addEventListener('resize', layout);
document.addEventListener('keydown', key);
document.addEventListener('fullscreenchange', () => {
  $('full').lastElementChild.textContent = document.fullscreenElement ? 'Leave full screen' : 'Full screen';
  layout();
});
$('full').addEventListener('click', full);
$('again').addEventListener('click', () => tiles.forEach(t => t.again()));
setInterval(look, LOOK);

$('choice').hidden = !tiles.some(t => Number(t.element.dataset.streams) > 1);
try {
  $('stream').value = localStorage.getItem(STREAM) ?? '';
} catch { /* the browser keeps nothing */ }
$('stream').addEventListener('change', () => {
  try {
    localStorage.setItem(STREAM, $('stream').value);
  } catch { /* the browser keeps nothing */ }
  for (const t of tiles) if (Number(t.element.dataset.streams) > 1) t.restart();
});

layout();
for (const t of tiles) sight.observe(t.element);
byElement.get(document.getElementById(decodeURIComponent(location.hash.slice(1))))?.link.focus();
