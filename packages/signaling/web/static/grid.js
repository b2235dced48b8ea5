// The arithmetic of the wall.

// Below that width, in CSS pixels, a tile shows too little; on narrower screens one fills the width.
const LEAST = 230;
const RATIO = 16 / 9;

// columns returns how many tiles stand side by side and how wide each is, so that n of them fit a room of width × height
// as large as they can be. Where they would be too small, the page scrolls.
export function columns(n, width, height, gap) {
  let best = {count: 1, width: 0};
  for (let count = 1; count <= n; count++) {
    const rows = Math.ceil(n / count);
    const across = (width - gap * (count - 1)) / count;
    const down = (height - gap * (rows - 1)) / rows * RATIO;
    const tile = Math.floor(Math.min(across, down));
    if (tile > best.width) best = {count, width: tile};
  }
  if (best.width >= Math.min(LEAST, width)) return best;
  const count = Math.max(1, Math.min(n, Math.floor((width + gap) / (LEAST + gap))));
  return {count, width: Math.floor((width - gap * (count - 1)) / count)};
}

// neighbour returns the tile that lies x to the right of and y below number at. Sideways it goes through the rows.
export function neighbour(n, count, at, x, y) {
  if (x) return (at + x + n) % n;
  const to = at + y * count;
  if (to < 0) return at;
  // Below an incomplete row stands its last tile.
  if (to >= n) return Math.floor(at / count) === Math.floor((n - 1) / count) ? at : n - 1;
  return to;
}
