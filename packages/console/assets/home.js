import {refresh} from '/assets/refresh.js';
import {copyClicks, enable, watchThumbs} from '/assets/copy.js';
import {followScreen} from '/assets/shot.js';

const views = new Map(); // the running live view of a card

// liveView loads the player that signaling serves. It is asked for under a new name each time: a browser remembers a
// module that did not load.
async function liveView(tries) {
  const {LiveView} = await import(`/livestream/viewer.js${tries === 0 ? '' : `?try=${tries}`}`);
  return LiveView;
}

async function watch(card, button) {
  const note = card.querySelector('.screen-note');
  const video = card.querySelector('video');
  const running = {view: null, stopped: false};
  views.set(card, running);
  card.querySelector('.screen').hidden = false;
  card.querySelector('.thumb').hidden = true;
  button.textContent = 'Stop';
  note.textContent = 'Connecting…';
  let LiveView;
  for (let tries = 0; LiveView === undefined; tries++) {
    try {
      LiveView = await liveView(tries);
    } catch {
      note.textContent = 'The live view cannot be loaded: signaling does not answer. Trying again…';
      await new Promise((resolve) => { setTimeout(resolve, 3000); });
    }
    if (running.stopped) return;
  }
  running.view = new LiveView(video, {
    camera: button.dataset.watch,
    onstate({state, message, hint}) {
      if (running.stopped) return;
      note.textContent = [message, hint].filter(Boolean).join('. ');
      video.controls = state === 'live';
    },
  });
  running.view.start();
}

function stop(card, button) {
  const running = views.get(card);
  views.delete(card);
  running.stopped = true;
  running.view?.stop();
  card.querySelector('.screen').hidden = true;
  card.querySelector('.thumb').hidden = false;
  card.querySelector('.screen-note').textContent = '';
  button.textContent = 'Watch';
}

async function restart(form, now) {
  const button = form.querySelector('button');
  // What stands here when the answer is lost with the process that would have brought it.
  const asked = `${form.closest('[data-key]').dataset.key} is being restarted.`;
  button.disabled = true;
  try {
    const res = await fetch(form.action, {method: 'POST', signal: AbortSignal.timeout(20000)});
    const page = new DOMParser().parseFromString(await res.text(), 'text/html');
    tell(page.querySelector('main > .notice[role=status]:not([hidden])')?.textContent ?? asked);
  } catch {
    tell(asked);
  }
  button.disabled = false;
  button.focus();
  now();
}

function tell(text) {
  const p = document.getElementById('told');
  p.textContent = text;
  p.hidden = text === '';
}

enable(document);
copyClicks();
watchThumbs(document);
followScreen();
const now = refresh({keep: (n) => views.has(n), added(n) {
  enable(n);
  watchThumbs(n);
}});

document.addEventListener('click', (e) => {
  const button = e.target.closest('button');
  if (button === null) return;
  if (button.dataset.watch !== undefined) {
    const card = button.closest('.camera');
    if (views.has(card)) stop(card, button);
    else watch(card, button);
  }
});
document.addEventListener('submit', (e) => {
  if (!new URL(e.target.action).pathname.startsWith('/processes/')) return;
  e.preventDefault();
  restart(e.target, now);
});
addEventListener('pagehide', () => {
  for (const card of [...views.keys()]) stop(card, card.querySelector('[data-watch]'));
});
