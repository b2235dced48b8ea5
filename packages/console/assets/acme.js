import {refresh} from '/assets/refresh.js';

refresh({added() {}});

// What belongs to a choice is there only while that is chosen.
const parts = document.querySelectorAll('[data-for]');
function choose() {
  for (const p of parts) {
    const chosen = document.getElementById(p.dataset.for).value === p.dataset.is;
    p.hidden = !chosen;
    if (chosen && p.tagName === 'DETAILS') p.open = true;
  }
}
document.addEventListener('change', choose);
addEventListener('pageshow', choose);
choose();
