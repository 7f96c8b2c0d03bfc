// Colors that are told apart with any color vision: Okabe and Ito 2008 for kinds, viridis for numbers, without its
// darkest third, which could not be seen on the black of fluorescence.
const OKABE_ITO = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];
export const OTHERS = "#b8bec4";
export const PLAIN = "#ffe600";
const VIRIDIS = ["#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const STEPS = 32;
export const NOT_SURE = "not sure";

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export function viridis(fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const [from, to] = [channels(VIRIDIS[low]), channels(VIRIDIS[low + 1])];
  return `rgb(${from.map((value, k) => Math.round(value + (to[k] - value) * (place - low))).join(",")})`;
}

const RAMP = Array.from({ length: STEPS }, (_, k) => viridis(k / (STEPS - 1)));

// Which color each cell has: a palette and one number a cell, with what the legend says of it.
export function colouring(cells, by) {
  const column = cells.column(by);
  if (!column) return { palette: [PLAIN], codes: new Uint8Array(cells.n), legend: null };
  return column.kind === "category" ? byCategory(column, cells) : byNumber(column, cells.n);
}

function byCategory(column, cells) {
  const counts = new Array(column.categories.length).fill(0);
  const here = new Array(column.categories.length).fill(0);
  column.values.forEach((code, row) => {
    if (!(code >= 0)) return;
    counts[code]++;
    if (cells.isThere(row)) here[code]++;
  });
  // Kinds keep their colors while their numbers change; what is not sure is gray.
  const is_kind = column.name === "kind";
  const order = counts.map((_, k) => k).filter((k) => !is_kind || column.categories[k] !== NOT_SURE);
  if (!is_kind) order.sort((a, b) => counts[b] - counts[a]);
  // The commonest kinds get a color of their own, the rest share gray.
  const colour_of = new Uint8Array(counts.length).fill(OKABE_ITO.length);
  order.slice(0, OKABE_ITO.length).forEach((code, place) => (colour_of[code] = place));
  const codes = Uint8Array.from(column.values, (code) => colour_of[code] ?? OKABE_ITO.length);
  const entries = order.slice(0, OKABE_ITO.length).filter((code) => counts[code]).map((code, place) => ({ colour: OKABE_ITO[place], text: column.categories[code], n: here[code] }));
  const named = new Set(order.slice(0, OKABE_ITO.length));
  const rest = here.reduce((sum, n, code) => sum + (named.has(code) ? 0 : n), 0);
  if (rest) entries.push({ colour: OTHERS, text: is_kind ? NOT_SURE : "others", n: rest });
  return { palette: [...OKABE_ITO, OTHERS], codes, legend: { title: column.label, entries } };
}

function byNumber(column, n) {
  const is_share = column.name.includes("probability");
  const [low, high] = is_share ? [0, 1] : column.range(0.02, 0.98);
  const codes = new Uint8Array(n);
  const factor = (STEPS - 1) / Math.max(high - low, 1e-12);
  for (let row = 0; row < n; row++) codes[row] = Math.min(Math.max(Math.round((column.values[row] - low) * factor), 0), STEPS - 1);
  return { palette: RAMP, codes, legend: { title: column.label, unit: column.unit, low, high } };
}
