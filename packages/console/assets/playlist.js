// The editor of a playlist. Every form works by itself; this sends them without leaving the page, puts in place what
// differs in the answer, and lets one drag. The server's markup is the only state: nothing is kept here.
import {drag} from '/assets/reorder.js';

const root = document.getElementById('editor');
const announce = document.querySelector('[data-say]');
const offline = document.getElementById('offline');
const every = 5000;
const sources = new WeakMap(); // what the server sent for a node
let busy = 0;
let timer = 0;

function tell(text) {
  announce.textContent = '';
  // A status that says the same twice is read only when it was empty in between.
  requestAnimationFrame(() => { announce.textContent = text; });
}

function saved(text) {
  const place = root.querySelector('[data-saved]');
  if (place !== null) place.textContent = text;
}

function remember(node) {
  sources.set(node, node.outerHTML);
}

const items = () => root.querySelector('[data-items]');

// swap puts in place what differs: parts by name, items by key and in the answer's order.
function swap(fresh) {
  const active = document.activeElement;
  const focus = root.contains(active) ? active.id : '';
  for (const part of root.querySelectorAll('[data-part]')) {
    const n = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (n === null || sources.get(part) === n.outerHTML) continue;
    const node = document.importNode(n, true);
    part.replaceWith(node);
    remember(node);
  }
  const list = items();
  const have = new Map([...list.children].map((n) => [n.dataset.key, n]));
  let at = list.firstElementChild;
  for (const n of fresh.querySelector('[data-items]').children) {
    let node = have.get(n.dataset.key);
    have.delete(n.dataset.key);
    if (node !== undefined && unsaved(node)) {
      node.querySelector('input[name=rev]').value = n.querySelector('input[name=rev]').value;
    } else if (node === undefined || sources.get(node) !== n.outerHTML) {
      const open = node?.querySelector('details')?.open;
      const next = document.importNode(n, true);
      if (node === undefined) list.insertBefore(next, at);
      else {
        if (at === node) at = next;
        node.replaceWith(next);
      }
      node = next;
      remember(node);
      if (open) node.querySelector('details').open = true;
    }
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
  for (const n of have.values()) n.remove();
  if (focus !== '' && document.activeElement !== document.getElementById(focus)) {
    const to = document.getElementById(focus);
    // A button that went grey gives the focus to the row's handle, so that the keyboard stays where it was.
    (to?.disabled ? to.closest('.item')?.querySelector('.handle') : to)?.focus({preventScroll: true});
  }
}

function parse(text) {
  return new DOMParser().parseFromString(`<div>${text}</div>`, 'text/html').body.firstElementChild;
}

// unsaved says whether somebody is typing in a row: what he typed must not go when an answer to something else comes.
function unsaved(node) {
  const a = document.activeElement;
  return node.contains(a) && a.matches('input, textarea') && a.value !== a.defaultValue;
}

// send makes a request and shows its answer; it says whether it was done. One goes after the other.
let last = Promise.resolve();
function send(url, options, ready) {
  last = last.then(() => sendNow(url, options, ready));
  return last;
}

async function sendNow(url, options, ready) {
  busy++;
  saved('Saving…');
  ready?.();
  try {
    const res = await fetch(url, {...options, headers: {'Porthole-Fragment': '1'}, signal: AbortSignal.timeout(20000)});
    if (res.redirected || res.status === 401) {
      location.assign('/login?next=' + encodeURIComponent(location.pathname));
      return false;
    }
    const text = await res.text();
    if (res.status === 404 || !text.includes('data-items')) throw new Error(`answered ${res.status}`);
    swap(parse(text));
    offline.hidden = true;
    saved(res.ok ? 'Saved' : 'Not saved');
    if (!res.ok) tell(root.querySelector('.error, [role=alert]')?.textContent ?? 'This was not saved.');
    return res.ok;
  } catch {
    saved('Not saved');
    offline.textContent = 'This was not saved: Porthole does not answer, or the playlist is gone. Try again, or load the page anew.';
    offline.hidden = false;
    return false;
  } finally {
    busy--;
    wait();
  }
}

function post(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const key = form.closest('.item')?.dataset.key;
  // What went before may have changed what this one was made for: it was our own change.
  return send(form.action, {method: 'POST', body}, () => {
    const now = (key === undefined ? root.querySelector('form[data-op=publish]') : document.getElementById(key))?.querySelector('input[name=rev]');
    if (body.has('rev') && now) body.set('rev', now.value);
  });
}

// place is where an item stands, in words.
function place(key) {
  const node = [...items().children].find((n) => n.dataset.key === key);
  if (node === undefined) return '';
  return `${node.dataset.name}: place ${[...items().children].indexOf(node) + 1} of ${items().children.length}.`;
}

async function move(item, to) {
  const key = item.dataset.key;
  const form = item.querySelector('form[data-op=move]');
  if (await send(form.action, {method: 'POST', body: new URLSearchParams({to})})) tell(place(key));
}

const done = {
  add: (form) => { form.reset(); return 'Added at the end.'; },
  publish: () => 'Published.',
  revert: () => 'The draft is again what is published.',
  undo: () => 'It is back.',
  remove: () => 'Removed. You can undo it.',
};

document.addEventListener('submit', async (e) => {
  const form = e.target;
  if (form.dataset.find !== undefined) {
    e.preventDefault();
    const q = new URLSearchParams(new FormData(form));
    await send(`${root.dataset.fragment}?${q}`, {});
    saved('');
    return;
  }
  if (form.dataset.op === undefined && form.dataset.auto === undefined) return;
  e.preventDefault();
  const op = form.dataset.op ?? 'save';
  const item = form.closest('.item');
  const key = item?.dataset.key;
  const next = item?.nextElementSibling ?? item?.previousElementSibling;
  if (!await post(form, e.submitter)) return;
  if (op === 'move') tell(place(key));
  else tell(done[op]?.(form) ?? 'Saved.');
  if (op === 'remove') (document.getElementById('undo') ?? next?.querySelector('.handle'))?.focus();
});

document.addEventListener('change', (e) => {
  const form = e.target.closest('form[data-auto]');
  if (form !== null) form.requestSubmit();
});

document.addEventListener('keydown', (e) => {
  if (!e.altKey || (e.key !== 'ArrowUp' && e.key !== 'ArrowDown')) return;
  const item = e.target.closest('.item');
  if (item === null) return;
  e.preventDefault();
  const at = [...items().children].indexOf(item) + 1;
  const to = at + (e.key === 'ArrowUp' ? -1 : 1);
  if (to < 1 || to > items().children.length) {
    tell(e.key === 'ArrowUp' ? 'This is the first.' : 'This is the last.');
    return;
  }
  if (!item.querySelector('.handle').matches(':focus')) item.querySelector('.handle').focus();
  if (busy === 0) move(item, to);
});

drag(root, {item: '.item', handle: '.handle', list: items, drop: move});

// typing says that somebody is about to change something here: then nothing is swapped under the hand.
function typing() {
  const a = document.activeElement;
  return root.querySelector('.dragged') !== null ||
    (a !== null && root.contains(a) && (a.matches('input:not([type=checkbox]), textarea, select')));
}

// look shows what others change meanwhile.
async function look() {
  if (busy > 0 || document.hidden || typing()) {
    wait();
    return;
  }
  try {
    const q = new URLSearchParams(new FormData(root.querySelector('[data-find]')));
    const res = await fetch(`${root.dataset.fragment}?${q}`, {signal: AbortSignal.timeout(4000)});
    const text = await res.text();
    if (res.ok && busy === 0 && !typing()) {
      const marked = [...root.querySelectorAll('.picker input:checked')].map((n) => n.id);
      const was = root.querySelector('[data-saved]').textContent;
      swap(parse(text));
      saved(was);
      for (const id of marked) {
        const n = document.getElementById(id);
        if (n !== null) n.checked = true;
      }
      offline.hidden = true;
    }
  } catch { /* what one changes says by itself when it cannot be saved */ }
  wait();
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(look, every);
}

for (const n of root.querySelectorAll('[data-part], .item')) remember(n);
wait();
