// What pages with texts to copy and with pictures of cameras have in common.

// enable shows what only works with scripts.
export function enable(root) {
  for (const n of root.querySelectorAll('[data-watch], [data-scripted]')) n.hidden = false;
}

function show(box, visible) {
  const code = box.querySelector('code[data-whole]');
  const button = box.querySelector('[data-show]');
  code.textContent = visible ? code.dataset.whole : code.dataset.masked;
  button.textContent = visible ? 'Hide' : 'Show';
  button.setAttribute('aria-pressed', String(visible));
}

async function copy(box) {
  const code = box.querySelector('code');
  const done = box.querySelector('.done');
  const secret = 'whole' in code.dataset;
  try {
    await navigator.clipboard.writeText(secret ? code.dataset.whole : code.textContent);
    done.textContent = secret ? 'Copied, with the secret.' : 'Copied.';
  } catch {
    // Without permission the user copies by hand.
    if (secret) show(box, true);
    getSelection().selectAllChildren(code);
    done.textContent = 'Selected: copy it with Ctrl+C.';
  }
  setTimeout(() => { done.textContent = ''; }, 5000);
}

// copyClicks serves the buttons of every .copyable, of later ones too.
export function copyClicks() {
  document.addEventListener('click', (e) => {
    const button = e.target.closest('button');
    if (button === null) return;
    if ('show' in button.dataset) show(button.closest('.copyable'), button.getAttribute('aria-pressed') !== 'true');
    else if ('copy' in button.dataset) copy(button.closest('.copyable'));
  });
}

// A picture that does not come leaves a quiet place instead of a broken one.
function judge(img) {
  const box = img.closest('.thumb');
  const set = () => box.classList.toggle('none', img.naturalWidth === 0);
  if (img.complete) set();
  img.addEventListener('load', set);
  img.addEventListener('error', set);
}

// watchThumbs looks after the pictures in root; those that say so are asked for anew while somebody sees them.
export function watchThumbs(root) {
  for (const img of root.querySelectorAll('img[data-thumb]')) {
    judge(img);
    if (img.dataset.thumb === 'follow') follow(img);
  }
}

function follow(img) {
  let seen = false;
  let loading = false;
  const address = img.getAttribute('src');
  new IntersectionObserver((list) => { seen = list.at(-1).isIntersecting; }).observe(img.parentElement);
  setInterval(async () => {
    if (!seen || document.hidden || loading) return;
    loading = true;
    const next = new Image();
    next.src = `${address}${address.includes('?') ? '&' : '?'}at=${Date.now()}`;
    try {
      await next.decode();
      img.src = next.src;
    } catch { /* the old picture stays */ }
    loading = false;
  }, 5000);
}
