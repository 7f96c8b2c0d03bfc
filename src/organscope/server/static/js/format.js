// Numbers, sizes and times as people read them.
export const whole = (value) => Math.round(value).toLocaleString("en-GB");

export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return whole(value);
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}

// Of a pixel, height before width, as everywhere in the interface.
export function pixelSize([height, width]) {
  const side = (value) => String(Number(value.toPrecision(4)));
  return Math.max(height, width) / Math.min(height, width) <= 1.001 ? `${side(width)} µm` : `${side(height)} µm high and ${side(width)} µm wide`;
}

// One number for square pixels, or height and width; null where nothing is written.
export function readPixelSize(text) {
  if (!text.trim()) return null;
  const sides = text.split(",").map(Number);
  if (sides.length > 2 || !sides.every((side) => side > 0 && Number.isFinite(side))) throw new Error(`Expected a pixel size in µm, such as 0.5, or height and width, such as 1.0,0.5; found “${text}”.`);
  return sides.length === 1 ? sides[0] : sides;
}

// With a space that does not break; never 0 or 100 % of what is only nearly so.
export function percent(value) {
  if (value > 0 && value < 0.001) return "< 0.1\u00a0%";
  if (value < 1 && value > 0.999) return "> 99.9\u00a0%";
  return `${(100 * value).toFixed(value > 0 && (value < 0.1 || value > 0.99) ? 1 : 0)}\u00a0%`;
}

export function duration(seconds) {
  if (seconds < 1.5) return "1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

// From the speed so far; never said to be exact.
export const timeLeft = (seconds) => (seconds === null || seconds === undefined ? "time left not known yet" : `about ${duration(seconds)} left`);

// What an expert says of an image.
export const expertWord = ({ action, organ }) => ({ not_tissue: "Not tissue", cannot_tell: "Cannot tell" })[action] ?? organ;

// What a person gave for a drop of images; empty where nothing.
export function optionsInWords({ um_per_px, channel, choice = {}, analysis = {} }) {
  const words = [um_per_px === null ? "" : `pixel size ${pixelSize(um_per_px)}`, channel === null ? "" : `only channel ${channel}`];
  for (const [name, what] of [["page", "page"], ["z", "plane"], ["t", "time point"], ["series", "image"]]) if (choice[name] !== undefined) words.push(`${what} ${choice[name]}`);
  if (choice.project) words.push("brightest of all planes");
  if (analysis.diameter_px) words.push(`cells ${analysis.diameter_px} px wide`);
  if (analysis.min_cell_recall) words.push(`at least ${percent(analysis.min_cell_recall)} of all cells`);
  if (analysis.measures) words.push(`${analysis.measures.join(", ")} measured`);
  if (analysis.models) words.push(`models ${analysis.models.join(", ")}`);
  return words.filter(Boolean).join(", ");
}

export const bytes = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`);
export const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;
export const day = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
export const times = (value) => (value < 10 ? String(Number(value.toFixed(1))) : whole(value));
