import '/assets/live.js';

// Identify and the like answer with a page: what it says is shown here, so that nobody loses the place.
document.addEventListener('submit', async (e) => {
  const form = e.target;
  if (!/\/identify$/.test(new URL(form.action).pathname)) return;
  e.preventDefault();
  const button = form.querySelector('button');
  const word = button.textContent;
  button.disabled = true;
  let said;
  try {
    const res = await fetch(form.action, {method: 'POST', signal: AbortSignal.timeout(20000)});
    said = new DOMParser().parseFromString(await res.text(), 'text/html').querySelector('main > .notice[role=status]:not([hidden])')?.textContent;
    if (!res.ok) said = undefined;
  } catch { /* said stays empty */ }
  const p = document.getElementById('offline');
  p.classList.toggle('bad', said === undefined);
  p.textContent = said ?? 'Porthole did not answer. Try again in a moment.';
  p.hidden = false;
  button.textContent = said === undefined ? word : 'Shows its name';
  setTimeout(() => {
    button.textContent = word;
    button.disabled = false;
    p.hidden = true;
    p.classList.add('bad');
  }, said === undefined ? 5000 : 10000);
});
