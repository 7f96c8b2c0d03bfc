// The cells: outlines where they can be told apart, dots where there are too many.
import { getBytes } from "./api.js";

const BLOCK_PX = 512;
// With more outlines in sight their dark rims are left out: half the work where nobody sees them.
const MOST_RIMS = 4000;
// Below this mean diameter on the screen outlines would run into each other.
const SMALLEST_OUTLINE = 5;
const MOST_BLOCKS = 160;

export class OutlineLayer {
  constructor(image, redraw) {
    Object.assign(this, { image, redraw, cells: null, colours: null, is_shown: true, selected: -1, version: 0 });
    this.blocks = new Map();
  }

  setCells(cells) {
    this.cells = cells;
    const middle = cells.n ? cells.column("area_px").range(0.5, 0.5)[0] : 1;
    this.diameter_px = Math.sqrt((4 * middle) / Math.PI);
  }

  setColours(colours) {
    this.colours = colours;
    this.version++;
  }

  draw(context, camera, density) {
    if (!this.cells || !this.is_shown) return;
    const blocks = this.visibleBlocks(camera);
    this.has_outlines = this.diameter_px * camera.scale >= SMALLEST_OUTLINE && blocks.length <= MOST_BLOCKS;
    if (this.has_outlines) this.drawOutlines(context, camera, density, blocks);
    else this.drawDots(context, camera);
    this.drawSelected(context, camera, density);
  }

  visibleBlocks(camera) {
    const [left, top, right, bottom] = camera.bounds();
    const reach = 2 * this.diameter_px;
    const found = [];
    for (let y = Math.max(0, Math.floor((top - reach) / BLOCK_PX)); y * BLOCK_PX < bottom + reach && y * BLOCK_PX < camera.height_px; y++) {
      for (let x = Math.max(0, Math.floor((left - reach) / BLOCK_PX)); x * BLOCK_PX < right + reach && x * BLOCK_PX < camera.width_px; x++) found.push([x, y]);
    }
    return found;
  }

  drawOutlines(context, camera, density, blocks) {
    const ready = blocks.map(([x, y]) => this.block(x, y)).filter(Boolean);
    const width = Math.min(Math.max(camera.scale * 0.9, 1.4), 2.6) / camera.scale;
    context.save();
    context.setTransform(density * camera.scale, 0, 0, density * camera.scale, density * (camera.view_width / 2 - camera.x * camera.scale), density * (camera.view_height / 2 - camera.y * camera.scale));
    context.lineJoin = "round";
    const n_outlines = ready.reduce((sum, block) => sum + block.rows.length, 0);
    for (const block of n_outlines <= MOST_RIMS ? ready : []) {
      for (const path of block.paths.values()) this.stroke(context, path, "rgba(0,0,0,.65)", width * 2.2);
    }
    for (const block of ready) {
      for (const [code, path] of block.paths) this.stroke(context, path, this.colours.palette[code], width);
      this.stroke(context, block.marked, "#ffffff", width, [4 * width, 3 * width]);
      this.stroke(context, block.deleted, "rgba(120,130,140,.9)", width * 0.8, [3 * width, 3 * width]);
    }
    this.drawEdited(context, width);
    context.restore();
  }

  // Cells that experts drew or changed are few; their outlines come with the corrections.
  drawEdited(context, width) {
    const { cells, colours } = this;
    for (const [row, corners] of cells.edited) {
      if (!cells.shown[row]) continue;
      const path = new Path2D();
      this.trace(path, { x: 0, y: 0, corners, starts: [0, corners.length / 2] }, 0);
      if (cells.deleted[row]) {
        this.stroke(context, path, "rgba(120,130,140,.9)", width * 0.8, [3 * width, 3 * width]);
        continue;
      }
      this.stroke(context, path, "rgba(0,0,0,.65)", width * 2.2);
      this.stroke(context, path, colours.palette[colours.codes[row]], width * 1.3);
      if (cells.marked[row]) this.stroke(context, path, "#ffffff", width, [4 * width, 3 * width]);
    }
  }

  stroke(context, path, colour, width, dash = []) {
    context.setLineDash(dash);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke(path);
  }

  drawDots(context, camera) {
    const { cells, colours } = this;
    const side = Math.min(Math.max(this.diameter_px * camera.scale * 0.8, 1.5), 4);
    const [left, top, right, bottom] = camera.bounds();
    const by_colour = colours.palette.map(() => []);
    for (let row = 0; row < cells.n; row++) {
      if (!cells.shown[row] || cells.deleted[row]) continue;
      if (cells.x[row] >= left && cells.x[row] <= right && cells.y[row] >= top && cells.y[row] <= bottom) by_colour[colours.codes[row]].push(row);
    }
    by_colour.forEach((rows, code) => {
      context.fillStyle = colours.palette[code];
      for (const row of rows) {
        const [x, y] = camera.toView(cells.x[row], cells.y[row]);
        context.fillRect(x - side / 2, y - side / 2, side, side);
      }
    });
  }

  drawSelected(context, camera, density) {
    const row = this.selected;
    if (row < 0 || row >= this.cells.n) return;
    const [x, y] = camera.toView(this.cells.x[row], this.cells.y[row]);
    const radius = Math.max(Math.sqrt(this.cells.area[row] / Math.PI) * camera.scale * 1.4, 9);
    for (const [colour, width] of [["rgba(0,0,0,.75)", 4.5], ["#ffffff", 2]]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  // The outlines of one square, asked for when it is first seen; paths are made anew when colors or filters change.
  block(x, y) {
    const key = `${x},${y}`;
    let block = this.blocks.get(key);
    if (!block) {
      block = { rows: null };
      this.blocks.set(key, block);
      this.fetchBlock(block, x, y, key);
    }
    if (!block.rows) return null;
    const version = `${this.version}.${this.cells.version}`;
    if (block.version !== version) {
      this.makePaths(block);
      block.version = version;
    }
    return block;
  }

  async fetchBlock(block, x, y, key) {
    try {
      const buffer = await getBytes(`/api/images/${this.image}/outlines/${x}/${y}`);
      const n = new DataView(buffer).getUint32(0, true);
      block.x = x * BLOCK_PX;
      block.y = y * BLOCK_PX;
      block.rows = new Uint32Array(buffer, 4, n);
      block.starts = new Uint32Array(buffer, 4 + 4 * n, n + 1);
      block.corners = new Int16Array(buffer, 8 + 8 * n);
      this.redraw();
    } catch {
      setTimeout(() => this.blocks.delete(key), 2000);
    }
  }

  makePaths(block) {
    block.paths = new Map();
    block.deleted = new Path2D();
    block.marked = new Path2D();
    const { cells, colours } = this;
    block.rows.forEach((row, place) => {
      if (!cells.shown[row] || cells.edited.has(row)) return;
      if (cells.deleted[row]) return this.trace(block.deleted, block, place);
      const code = colours.codes[row];
      if (!block.paths.has(code)) block.paths.set(code, new Path2D());
      this.trace(block.paths.get(code), block, place);
      if (cells.marked[row]) this.trace(block.marked, block, place);
    });
  }

  trace(path, block, place) {
    const begin = 2 * block.starts[place];
    const points = smoothed(block.corners.subarray(begin, 2 * block.starts[place + 1]), block.x, block.y);
    const n = points.length / 2;
    const at = (k) => 2 * ((k + n) % n);
    path.moveTo((points[0] + points[at(-1)]) / 2, (points[1] + points[at(-1) + 1]) / 2);
    for (let k = 0; k < n; k++) path.quadraticCurveTo(points[at(k)], points[at(k) + 1], (points[at(k)] + points[at(k + 1)]) / 2, (points[at(k) + 1] + points[at(k + 1) + 1]) / 2);
    path.closePath();
  }

  // The cell under a point of the image; -1 where there is none. One that is deleted can be chosen, to take it back, but
  // not edited.
  cellAt(x, y, reach_px, is_edit = false) {
    const { cells } = this;
    if (!cells) return -1;
    let best = -1;
    let nearest = Infinity;
    for (let row = 0; row < cells.n; row++) {
      if (!cells.shown[row] || (is_edit && cells.deleted[row])) continue;
      const distance = Math.hypot(cells.x[row] - x, cells.y[row] - y);
      if (distance < nearest) [nearest, best] = [distance, row];
    }
    const radius = best < 0 ? 0 : Math.sqrt(cells.area[best] / Math.PI);
    return nearest <= Math.max(1.5 * radius, reach_px) ? best : -1;
  }
}

// Corners lie on the edges of pixels, in stairs. The line goes through the middles of the steps, each moved towards its
// neighbors: by less than a pixel, and not at all along straight edges such as that of the image.
function smoothed(corners, x, y) {
  const n = corners.length / 2;
  const middles = new Float32Array(2 * n);
  for (let k = 0; k < 2 * n; k += 2) {
    const next = (k + 2) % (2 * n);
    middles[k] = x + (corners[k] + corners[next]) / 2;
    middles[k + 1] = y + (corners[k + 1] + corners[next + 1]) / 2;
  }
  if (n < 8) return middles;
  const points = new Float32Array(2 * n);
  for (let k = 0; k < 2 * n; k += 2) {
    const before = (k - 2 + 2 * n) % (2 * n);
    const after = (k + 2) % (2 * n);
    for (const axis of [0, 1]) {
      const step = (middles[before + axis] + middles[after + axis]) / 2 - middles[k + axis];
      points[k + axis] = middles[k + axis] + Math.min(Math.max(0.6 * step, -0.8), 0.8);
    }
  }
  return points;
}
