// Histogram and scatter of any measure, of the cells that are there and that the filters let through.
import { number } from "./format.js";

const MOST_BINS = 40;
const FEWEST_BINS = 8;
// Room beside the outermost points of a scatter, as a share of the range.
const MARGIN = 0.04;
const PAD = { right: 8, top: 8, bottom: 20 };

function prepare(canvas) {
  const density = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * density;
  canvas.height = height * density;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  context.font = `11px ${colour("--sans")}`;
  return { context, width, height, ink: colour("--faint"), accent: colour("--accent"), line: colour("--line") };
}

export function drawHistogram(canvas, cells, column) {
  const page = prepare(canvas);
  const [low, high] = column.range(0.001, 0.999);
  const n_bins = Math.min(Math.max(Math.ceil(2 * Math.sqrt(cells.n)), FEWEST_BINS), MOST_BINS);
  const counts = new Array(n_bins).fill(0);
  const factor = n_bins / Math.max(high - low, 1e-12);
  for (let row = 0; row < cells.n; row++) {
    if (!cells.isThere(row) || !Number.isFinite(column.values[row])) continue;
    counts[Math.min(Math.max(Math.floor((column.values[row] - low) * factor), 0), n_bins - 1)]++;
  }
  const most = Math.max(1, ...counts);
  const inner = innerOf(page, [0, most]);
  const step = inner.width / n_bins;
  page.context.fillStyle = page.accent;
  counts.forEach((count, bin) => {
    const tall = (count / most) * inner.height;
    page.context.fillRect(inner.left + bin * step + 0.5, PAD.top + inner.height - tall, step - 1, tall);
  });
  axes(page, inner, [low, high], [0, most]);
  return { toValue: (x) => low + ((x - inner.left) / inner.width) * (high - low) };
}

export function drawScatter(canvas, cells, across, up, colours) {
  const page = prepare(canvas);
  const [left, right] = widened(across.range(0.001, 0.999));
  const [bottom, top] = widened(up.range(0.001, 0.999));
  const inner = innerOf(page, [bottom, top]);
  const place = (row) => [inner.left + ((across.values[row] - left) / Math.max(right - left, 1e-12)) * inner.width, PAD.top + (1 - (up.values[row] - bottom) / Math.max(top - bottom, 1e-12)) * inner.height];
  const side = cells.n > 5000 ? 1.5 : cells.n > 1000 ? 3 : 5;
  page.context.globalAlpha = cells.n > 5000 ? 0.5 : 0.85;
  for (let row = 0; row < cells.n; row++) {
    if (!cells.isThere(row)) continue;
    const [x, y] = place(row);
    if (!(x >= inner.left && x <= page.width && y >= 0 && y <= PAD.top + inner.height)) continue;
    page.context.fillStyle = colours.legend ? colours.palette[colours.codes[row]] : page.accent;
    page.context.fillRect(x - side / 2, y - side / 2, side, side);
  }
  page.context.globalAlpha = 1;
  axes(page, inner, [left, right], [bottom, top]);
  return { nearest: (x, y) => nearest(cells, place, x, y) };
}

// Where the axes are: beside the longest number at the upright one.
function innerOf({ context, width, height }, up) {
  const left = 8 + Math.ceil(Math.max(...up.map((value) => context.measureText(number(value)).width)));
  return { left, width: width - left - PAD.right, height: height - PAD.top - PAD.bottom };
}

// Measures are never below 0, so no axis begins there.
function widened([low, high]) {
  const margin = MARGIN * (high - low) || 0.5;
  return [Math.max(low - margin, Math.min(low, 0)), high + margin];
}

function axes({ context, ink, line, width, height }, inner, across, up) {
  context.strokeStyle = line;
  context.strokeRect(inner.left, PAD.top, inner.width, inner.height);
  context.fillStyle = ink;
  context.textBaseline = "top";
  [0, 0.5, 1].forEach((share) => {
    context.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
    context.fillText(number(across[0] + share * (across[1] - across[0])), inner.left + share * inner.width, height - PAD.bottom + 5);
  });
  context.textAlign = "right";
  context.fillText(number(up[1]), inner.left - 5, PAD.top);
  context.textBaseline = "bottom";
  context.fillText(number(up[0]), inner.left - 5, PAD.top + inner.height);
}

function nearest(cells, place, x, y) {
  let best = -1;
  let least = 12;
  for (let row = 0; row < cells.n; row++) {
    if (!cells.isThere(row)) continue;
    const [left, top] = place(row);
    const distance = Math.hypot(left - x, top - y);
    if (distance < least) [least, best] = [distance, row];
  }
  return best;
}
