import {refresh} from '/assets/refresh.js';

const log = document.querySelector('[data-follow]');
log.scrollTop = log.scrollHeight;
refresh();
