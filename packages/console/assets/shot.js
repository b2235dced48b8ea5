// The picture of this device's screen, on every page that shows it.

// followScreen asks for the picture of the screen anew while somebody sees it. The old one stays until the new one is
// there, and when there is none.
export function followScreen() {
  let img = document.querySelector('img[data-shot]');
  if (img === null) return;
  let seen = true;
  const observer = new IntersectionObserver((list) => { seen = list.at(-1).isIntersecting; });
  observer.observe(img.parentElement);
  let loading = false;
  setInterval(async () => {
    if (!seen || document.hidden || loading) return;
    loading = true;
    const next = img.cloneNode();
    next.removeAttribute('width');
    next.removeAttribute('height');
    next.src = `/screen.jpg?small&at=${Date.now()}`;
    try {
      await next.decode();
      img.replaceWith(next);
      img = next;
    } catch { /* player restarts; the card says so */ }
    loading = false;
  }, 3000);
}
