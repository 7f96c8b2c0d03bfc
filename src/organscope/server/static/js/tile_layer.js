// The image: tiles of the size that fits the zoom, coarser ones below them until they arrive.
const AT_ONCE = 6;
const KEPT = 500;

export class TileLayer {
  constructor(image, tile_px, highest_power, redraw) {
    Object.assign(this, { image, tile_px, highest_power, redraw });
    this.tiles = new Map();
    this.wanted = [];
    this.n_loading = 0;
  }

  draw(context, camera, density) {
    const ideal = Math.floor(Math.log2(1 / (camera.scale * density)) + 0.35);
    const power = Math.min(Math.max(ideal, 0), this.highest_power);
    this.wanted = [];
    context.imageSmoothingEnabled = camera.scale * density < 3;
    context.imageSmoothingQuality = "high";
    // From the whole image to the finest: whatever is there already is drawn below.
    for (let coarse = this.highest_power; coarse >= power; coarse--) this.drawPower(context, camera, coarse, coarse === power || coarse === this.highest_power);
    this.load();
  }

  drawPower(context, camera, power, is_wanted) {
    const side = this.tile_px * 2 ** power;
    const [left, top, right, bottom] = camera.bounds();
    const middle = [(left + right) / 2 / side, (top + bottom) / 2 / side];
    for (let y = Math.floor(top / side); y * side < bottom; y++) {
      for (let x = Math.floor(left / side); x * side < right; x++) {
        const tile = this.tiles.get(`${power}/${x}/${y}`);
        if (tile?.is_ready) this.drawTile(context, camera, tile, power, x * side, y * side);
        else if (is_wanted && !tile) this.wanted.push({ power, x, y, far: power === this.highest_power ? -1 : Math.hypot(x + 0.5 - middle[0], y + 0.5 - middle[1]) });
      }
    }
  }

  drawTile(context, camera, tile, power, x, y) {
    const [left, top] = camera.toView(x, y);
    const [right, bottom] = camera.toView(Math.min(x + tile.picture.width * 2 ** power, camera.width_px), Math.min(y + tile.picture.height * 2 ** power, camera.height_px));
    tile.used = performance.now();
    context.drawImage(tile.picture, left, top, right - left + 0.4, bottom - top + 0.4);
  }

  load() {
    this.wanted.sort((a, b) => a.far - b.far);
    while (this.n_loading < AT_ONCE && this.wanted.length) this.fetchTile(this.wanted.shift());
  }

  async fetchTile({ power, x, y }) {
    const tile = { is_ready: false, used: performance.now() };
    const key = `${power}/${x}/${y}`;
    this.tiles.set(key, tile);
    this.n_loading++;
    try {
      tile.picture = new Image();
      tile.picture.src = `/api/images/${this.image}/tiles/${key}`;
      await tile.picture.decode();
      tile.is_ready = true;
    } catch {
      setTimeout(() => this.tiles.delete(key), 2000);
    }
    this.n_loading--;
    this.forget();
    this.redraw();
  }

  forget() {
    if (this.tiles.size <= KEPT) return;
    const oldest = [...this.tiles].filter(([, tile]) => tile.is_ready).sort((a, b) => a[1].used - b[1].used);
    for (const [key] of oldest.slice(0, this.tiles.size - KEPT)) this.tiles.delete(key);
  }
}
