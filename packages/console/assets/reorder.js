// Dragging the items of a list by their handles, with mouse, pen and finger. What moves on the screen is only drawn:
// drop(item, place) does it, place counting from 1.

const edge = 64; // px from the window's edge in which the page scrolls
const still = matchMedia('(prefers-reduced-motion: reduce)');

export function drag(root, {item, handle, list, drop}) {
  root.addEventListener('pointerdown', (e) => {
    const grip = e.target.closest(handle);
    if (grip === null || e.button !== 0) return;
    e.preventDefault();
    grip.focus();
    grip.setPointerCapture(e.pointerId);
    start(grip, grip.closest(item), e, list(), drop);
  });
}

function start(grip, moved, down, list, drop) {
  const all = [...list.children];
  const from = all.indexOf(moved);
  // Places in the document, as the page may scroll meanwhile.
  const boxes = all.map((n) => {
    const r = n.getBoundingClientRect();
    return {top: r.top + scrollY, height: r.height, middle: r.top + scrollY + r.height / 2};
  });
  const startY = down.clientY + scrollY;
  const gap = all.length > 1 ? boxes[1].top - boxes[0].top - boxes[0].height : 0;
  let to = from;
  let y = down.clientY;
  let frame = 0;
  let ended = false;

  moved.classList.add('dragged');
  list.classList.toggle('sliding', !still.matches);

  function draw() {
    frame = 0;
    const shift = y + scrollY - startY;
    moved.style.transform = `translateY(${shift}px)`;
    const middle = boxes[from].middle + shift;
    to = 0;
    // Another one makes way as soon as the moved one covers half of it.
    for (let i = 0; i < all.length; i++) {
      if (i !== from && boxes[i].middle < middle + boxes[from].height / (i < from ? -2 : 2)) to++;
    }
    const by = boxes[from].height + gap;
    all.forEach((n, i) => {
      if (i === from) return;
      const other = i < from ? i : i - 1; // its place in the list without the moved one
      let d = 0;
      if (i < from && other >= to) d = by;
      if (i > from && other < to) d = -by;
      n.style.transform = d === 0 ? '' : `translateY(${d}px)`;
    });
    if (ended) return;
    const speed = y < edge ? y - edge : Math.max(0, y - (innerHeight - edge));
    if (speed !== 0) {
      const before = scrollY;
      scrollBy(0, speed / 4);
      if (scrollY !== before) soon();
    }
  }
  function soon() {
    if (frame === 0) frame = requestAnimationFrame(draw);
  }
  function move(e) {
    if (e.pointerId !== down.pointerId) return;
    y = e.clientY;
    soon();
  }
  async function end(e, keep) {
    if (ended || (e.pointerId !== undefined && e.pointerId !== down.pointerId)) return;
    ended = true;
    listeners.abort();
    if (keep) {
      if (e.clientY !== undefined) y = e.clientY;
      draw();
    }
    cancelAnimationFrame(frame);
    if (keep && to !== from) {
      // What was drawn becomes true before the answer comes, so that nothing jumps back.
      list.classList.remove('sliding');
      clean();
      const others = all.filter((n) => n !== moved);
      list.insertBefore(moved, others[to] ?? null);
      grip.focus({preventScroll: true});
      await drop(moved, to + 1);
      return;
    }
    clean();
  }
  function clean() {
    moved.classList.remove('dragged');
    list.classList.remove('sliding');
    for (const n of all) n.style.transform = '';
  }

  const listeners = new AbortController();
  const {signal} = listeners;
  grip.addEventListener('pointermove', move, {signal});
  grip.addEventListener('pointerup', (e) => end(e, true), {signal});
  grip.addEventListener('pointercancel', (e) => end(e, false), {signal});
  grip.addEventListener('lostpointercapture', (e) => end(e, false), {signal});
  document.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') {
      e.preventDefault();
      end(e, false);
    }
  }, {signal});
}
