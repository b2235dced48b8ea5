// What the server's error codes and this browser's own findings mean to the person who looks.

// OFFLINE is also what the page says while the connection stands and the camera is silent.
export const OFFLINE = 'Camera offline, reconnecting…';

// REASONS: the state a LiveView is in, what it says, and how long it pauses between tries at most, in ms.
//   still   nothing will change by itself soon: no spinner, no hurry
//   quick   what went wrong is over in a moment as a rule: in the first minute it is tried once a second
//   asks    only the person can go on
export const REASONS = {
  'camera-offline': {state: 'offline', pause: 1000, message: OFFLINE},
  'camera-changed': {state: 'connecting', pause: 1000, message: 'The camera changed its format, reconnecting…'},
  'camera-unknown': {state: 'unknown', pause: 30000, still: true, message: 'There is no such camera',
    hint: 'It may have been renamed or removed.'},
  'no-codec': {state: 'nocodec', pause: 60000, still: true, message: 'No codec in common',
    hint: 'Switch the camera to H.264, or use a browser that plays its format.'},
  'no-path': {state: 'nopath', pause: 10000, message: 'No network path for the picture, trying again…',
    hint: 'This page arrives, the picture does not: a firewall or router between this browser and the device lets nothing of WebRTC through. Debug lists what was tried.'},
  'no-frames': {state: 'connecting', pause: 10000, quick: true, message: 'The picture stopped, reconnecting…'},
  'unauthorized': {state: 'unauthorized', pause: 60000, still: true, message: 'You are not logged in'},
  'forbidden': {state: 'forbidden', pause: 30000, still: true, message: 'Your account may not watch this camera',
    hint: 'Ask the administrator of this device.'},
  'busy': {state: 'busy', pause: 10000, message: 'Too many viewers'},
  'time-limit': {state: 'limit', still: true, asks: true, message: 'Still watching?'},
  'ended': {state: 'limit', still: true, asks: true, message: 'Ended by an administrator'},
  'starting': {state: 'away', pause: 2000, quick: true, message: 'The device is starting…'},
  'stopping': {state: 'away', pause: 2000, quick: true, message: 'The live view is restarting…'},
  'away': {state: 'away', pause: 5000, quick: true, message: 'The server does not answer, trying again…',
    hint: 'Debug lists where it was looked for.'},
  'lost': {state: 'connecting', pause: 5000, quick: true, message: 'Connection lost, reconnecting…'},
  'sound': {state: 'connecting', pause: 0},
  'failed': {state: 'away', pause: 10000, message: 'The live view failed, trying again…'},
};

const UNPLUGGED = {state: 'away', message: 'This device has no network', hint: 'The picture comes back by itself when it has.'};

// reasonFor explains how an attempt ended.
export function reasonFor(code) {
  const reason = REASONS[code] ?? REASONS.failed;
  if (navigator.onLine === false && (code === 'away' || code === 'lost' || code === 'no-path')) return {...reason, ...UNPLUGGED};
  return reason;
}

// waitBefore returns the pause in ms before the next try: failures counts those in a row, since is when the first was.
export function waitBefore(reason, failures, since) {
  let longest = reason.pause;
  if (reason.quick && performance.now() - since < 60000) longest = Math.min(longest, 1000);
  if (!reason.still) longest = Math.min(longest, 300 * 2 ** Math.min(failures, 8));
  return longest * (0.5 + Math.random() / 2);
}

export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : '';
}
