import {refresh} from '/assets/refresh.js';

refresh();

// Sends the file with a bar that says how far it is; without this, the browser's own form does it.
const form = document.querySelector('form[data-import]');
const box = form.querySelector('[data-sending]');
const bar = box.querySelector('progress');
const word = box.querySelector('[role=status]');
const size = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${Math.ceil(n / 1e6)} MB`);

form.addEventListener('submit', (e) => {
  e.preventDefault();
  const button = form.querySelector('button');
  const request = new XMLHttpRequest();
  const stop = (text) => {
    word.textContent = text;
    button.disabled = false;
  };
  request.upload.onprogress = (p) => {
    bar.value = p.loaded / p.total;
    word.textContent = `${size(p.loaded)} of ${size(p.total)}`;
  };
  request.onerror = () => stop('The connection broke off. Send it again.');
  request.onload = () => {
    if (request.status < 300) {
      location.assign('/settings/transfer');
      return;
    }
    const page = new DOMParser().parseFromString(request.responseText, 'text/html');
    stop(page.querySelector('[role=alert]')?.textContent ?? 'It could not be imported. Try again.');
  };
  request.open('POST', form.action);
  request.send(new FormData(form));
  box.hidden = false;
  button.disabled = true;
});
