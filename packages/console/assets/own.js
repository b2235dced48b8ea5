import {refresh} from '/assets/refresh.js';
import {copyClicks, enable} from '/assets/copy.js';
import {followScreen} from '/assets/shot.js';

enable(document);
copyClicks();
followScreen();
refresh({added: enable});

// What belongs to another server only is there while another one is chosen.
const other = document.getElementById('other');
function choose() {
  other.hidden = document.querySelector('input[name=follow]:checked')?.value !== 'other';
}
document.addEventListener('change', (e) => {
  if (e.target.name === 'follow') choose();
});
addEventListener('pageshow', choose);
choose();
