import {refresh} from '/assets/refresh.js';
import {copyClicks, enable, watchThumbs} from '/assets/copy.js';

enable(document);
copyClicks();
watchThumbs(document);
if (document.querySelector('[data-refresh]')) {
  refresh({added(n) {
    enable(n);
    watchThumbs(n);
  }});
}
