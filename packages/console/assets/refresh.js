// Keeps a page's changing parts up to date while somebody looks: the page's element with data-refresh names a fragment,
// which is the same markup made anew. Only what differs is replaced, and never what has the focus or is selected.
//   data-live=NAME  its content is replaced by that of the same name
//   data-own        with data-live, where a script changes the content itself: replaced only when there is other markup than before
//   data-list       its children have data-key: new ones are added, gone ones removed, the others stay as they are

const every = 5000;
const giveUp = 4000;

// inUse says whether somebody types in, has the focus on, or selects a part of a node.
function inUse(node) {
  if (node.contains(document.activeElement) && document.activeElement !== document.body && document.activeElement !== node) return true;
  const s = document.getSelection();
  return s !== null && !s.isCollapsed && s.containsNode(node, true);
}

function mergeList(old, fresh, keep, added) {
  const have = new Map([...old.children].map((n) => [n.dataset.key, n]));
  let at = old.firstElementChild;
  for (const n of [...fresh.children]) {
    let o = have.get(n.dataset.key);
    have.delete(n.dataset.key);
    if (o === undefined) {
      o = document.importNode(n, true);
      old.insertBefore(o, at);
      added(o);
    } else if (o === at) {
      at = at.nextElementSibling;
    }
  }
  for (const n of have.values()) {
    if (!inUse(n) && !keep(n)) n.remove();
  }
}

// given is the markup that elements with data-own were given last.
const given = new WeakMap();

function merge(root, fresh, keep, added) {
  const parts = new Map([...fresh.querySelectorAll('[data-live]')].map((n) => [n.dataset.live, n]));
  for (const o of root.querySelectorAll('[data-live]')) {
    const n = parts.get(o.dataset.live);
    if (n === undefined || n.innerHTML === (given.get(o) ?? o.innerHTML) || inUse(o)) continue;
    if (given.has(o)) given.set(o, n.innerHTML);
    const bottom = 'follow' in o.dataset && o.scrollTop + o.clientHeight >= o.scrollHeight - 4;
    o.replaceChildren(...[...n.childNodes].map((c) => document.importNode(c, true)));
    if (bottom) o.scrollTop = o.scrollHeight;
  }
  const lists = [...fresh.querySelectorAll('[data-list]')];
  for (const o of root.querySelectorAll('[data-list]')) {
    const n = lists.find((l) => l.dataset.list === o.dataset.list);
    if (n !== undefined) mergeList(o, n, keep, added);
  }
}

function say(text, link) {
  const p = document.getElementById('offline');
  p.replaceChildren(text);
  if (link) {
    const a = document.createElement('a');
    a.href = link;
    a.textContent = 'Log in';
    p.append(' ', a);
  }
  p.hidden = text === '';
}

// refresh starts. keep(node) says that a child of a list must stay although it is gone; added(node) hears of new ones;
// pause() is how long to wait before the next time, in ms; away() says why nothing answers, if that is known; done() is
// called after each time. It returns a function that refreshes now.
export function refresh({keep = () => false, added = () => {}, pause = () => every, away = () => '', done = () => {}} = {}) {
  const root = document.querySelector('[data-refresh]');
  for (const o of root.querySelectorAll('[data-own]')) given.set(o, o.innerHTML);
  let timer = 0;
  let running = false;
  let failures = 0;

  async function once() {
    if (running || document.hidden) return;
    running = true;
    clearTimeout(timer);
    try {
      const res = await fetch(root.dataset.refresh, {signal: AbortSignal.timeout(giveUp)});
      if (res.status === 401) {
        say('You are logged out.', '/login?next=' + encodeURIComponent(location.pathname + location.search));
        return;
      }
      if (!res.ok) throw new Error(`answered ${res.status}`);
      merge(root, new DOMParser().parseFromString(await res.text(), 'text/html').body, keep, added);
      failures = 0;
      say('');
      done();
    } catch {
      // A restart takes a few seconds: ask more often, and complain when it is something else.
      failures++;
      if (away() !== '') say(away());
      else if (failures > 3) say('Porthole does not answer. What you see may be old; this page keeps asking.');
    } finally {
      running = false;
    }
    timer = setTimeout(once, failures > 0 && (failures < 30 || away() !== '') ? 1000 : pause());
  }

  document.addEventListener('visibilitychange', once);
  timer = setTimeout(once, pause());
  return once;
}
