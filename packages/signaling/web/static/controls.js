// The viewer page's buttons, keys and gestures.

const $ = id => document.getElementById(id);
// In full screen the buttons go after so long without a movement, in ms.
const IDLE = 3000;
// How far a finger goes for the next camera, in CSS pixels.
const SWIPE = 60;
const FIGURES = 'porthole-figures';

export class Controls {
  #video = $('video');
  #stage = $('stage');
  #step;
  #idle;
  #scrolled = 0; // where the page was before full screen
  #from = null; // where a finger came down

  // step(±1) goes to the next or previous camera; null: there is only one. back() leaves the page.
  constructor({step, back}) {
    this.#step = step;
    const video = this.#video;
    video.addEventListener('pause', () => this.#paused(true));
    video.addEventListener('play', () => this.#paused(false));
    video.addEventListener('resize', () => {
      // Before the first picture Chromium shows one of 2×2 pixels.
      if (video.videoWidth > 2) this.#stage.style.setProperty('--ratio', String(video.videoWidth / video.videoHeight));
    });
    this.#button('sound', () => this.sound());
    this.#button('pause', () => this.#pause());
    this.#button('full', () => this.#full());
    this.#button('info', () => this.#figures($('overlay').hidden));
    this.#button('pip', () => this.#small());
    this.#button('prev', () => step?.(-1));
    this.#button('next', () => step?.(1));
    $('prev').hidden = $('next').hidden = !step;
    $('pip').hidden = !document.pictureInPictureEnabled;
    video.addEventListener('enterpictureinpicture', () => $('pip').setAttribute('aria-pressed', 'true'));
    video.addEventListener('leavepictureinpicture', () => $('pip').setAttribute('aria-pressed', 'false'));
    document.addEventListener('fullscreenchange', () => {
      $('full').lastElementChild.textContent = document.fullscreenElement ? 'Leave full screen' : 'Full screen';
      // Some browsers lose their place.
      if (!document.fullscreenElement) scrollTo(0, this.#scrolled);
      this.wake();
    });
    this.#gestures($('picture'));
    document.addEventListener('keydown', e => this.#key(e, back));
    this.#figures(kept() === 'yes');
  }

  // wake shows the buttons for a while.
  wake() {
    clearTimeout(this.#idle);
    delete this.#stage.dataset.idle;
    this.#idle = setTimeout(() => {
      // What has the focus must be seen.
      if (!$('controls').contains(document.activeElement) && $('message').hidden) this.#stage.dataset.idle = '';
    }, IDLE);
  }

  // hasSound says whether there is sound to switch on.
  hasSound(there) {
    if (!there && !this.#video.muted) this.sound();
    $('sound').hidden = !there;
  }

  sound() {
    const video = this.#video;
    if ($('sound').hidden) return;
    video.muted = !video.muted;
    $('sound').lastElementChild.textContent = video.muted ? 'Sound on' : 'Sound off';
    $('sound').setAttribute('aria-pressed', String(!video.muted));
  }

  #button(id, f) {
    $(id).addEventListener('click', () => {
      f();
      this.wake();
    });
  }

  #paused(yes) {
    $('pause').lastElementChild.textContent = yes ? 'Play' : 'Pause';
    $('pause').setAttribute('aria-pressed', String(yes));
  }

  #pause() {
    if (this.#video.paused) this.#video.play().catch(() => {});
    else this.#video.pause();
  }

  #full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.#stage.requestFullscreen) {
      this.#scrolled = scrollY;
      this.#stage.requestFullscreen().catch(() => {});
    } else this.#video.webkitEnterFullscreen?.(); // iPhones know only this one
  }

  #small() {
    if (document.pictureInPictureElement) document.exitPictureInPicture();
    else this.#video.requestPictureInPicture?.().catch(() => {}); // there is no picture yet
  }

  #figures(on) {
    $('overlay').hidden = !on;
    $('info').setAttribute('aria-pressed', String(on));
    keep(on ? 'yes' : 'no');
  }

  // A swipe goes to the next camera, a double tap or click fills the screen, a tap shows the buttons.
  #gestures(picture) {
    picture.addEventListener('dblclick', e => { if (!e.target.closest('button, a')) this.#full(); });
    this.#stage.addEventListener('pointermove', () => this.wake());
    picture.addEventListener('pointerdown', e => {
      this.#from = e.isPrimary && e.pointerType !== 'mouse' ? {x: e.clientX, y: e.clientY} : null;
      this.wake();
    });
    picture.addEventListener('pointerup', e => {
      const from = this.#from;
      this.#from = null;
      if (!from) return;
      const x = e.clientX - from.x;
      if (Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(e.clientY - from.y)) this.#step?.(x < 0 ? 1 : -1);
    });
    picture.addEventListener('pointercancel', () => { this.#from = null; });
  }

  #key(e, back) {
    if (e.ctrlKey || e.metaKey || e.altKey || e.repeat) return;
    // Focused things have their own idea of some keys.
    const focused = e.target.closest?.('button, a, summary, input, select');
    if (focused?.matches('select, input') && e.key !== 'Escape') return;
    this.wake();
    switch (e.key) {
      case 'f': this.#full(); break;
      case 'm': this.sound(); break;
      case 'i': this.#figures($('overlay').hidden); break;
      case 'p': this.#small(); break;
      case 'ArrowLeft': this.#step?.(-1); break;
      case 'ArrowRight': this.#step?.(1); break;
      case ' ':
        if (focused) return;
        e.preventDefault();
        this.#pause();
        break;
      case 'Escape':
        // Browsers leave full screen by themselves.
        if (!document.fullscreenElement) back();
        break;
    }
  }
}

// Whether the figures are shown is remembered where the browser lets us.
function kept() {
  try {
    return localStorage.getItem(FIGURES);
  } catch {
    return null;
  }
}

function keep(value) {
  try {
    localStorage.setItem(FIGURES, value);
  } catch { /* then not */ }
}
