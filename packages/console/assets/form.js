import {watchThumbs} from '/assets/copy.js';

watchThumbs(document);

// Trying a camera takes its time: say so. The button stays enabled until the form is sent, or its value would not be.
document.querySelector('form[data-try]')?.addEventListener('submit', (e) => {
  if (e.submitter?.name !== 'try') return;
  e.target.querySelector('[data-trying]').hidden = false;
  setTimeout(() => { e.submitter.disabled = true; });
});
// The browser's back button brings the page as it was left.
addEventListener('pageshow', () => {
  for (const b of document.querySelectorAll('button[name=try]')) b.disabled = false;
  for (const p of document.querySelectorAll('[data-trying]')) p.hidden = true;
});
