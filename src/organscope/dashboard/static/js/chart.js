// A line chart as SVG, with values under the pointer or, by the arrow keys, under the keyboard.
import { chipOf } from "./colours.js";
import { el, svg } from "./dom.js";
import { number } from "./format.js";

const WIDTH = 640, HEIGHT = 300;
const EDGE = { left: 58, right: 14, top: 12, bottom: 34 };

// lines: [{ name, colour, dash, points: [[x, y], ...] }]
export function lineChart(lines, { label, log }) {
  const drawn = lines.map((line) => ({ ...line, points: line.points.filter(([, y]) => !log || y > 0) })).filter((line) => line.points.length);
  if (!drawn.length) return el("p", { class: "empty" }, "None of the chosen runs has it.");
  const xs = drawn.flatMap((line) => line.points.map(([x]) => x)), ys = drawn.flatMap((line) => line.points.map(([, y]) => y));
  const x = scale(least(xs), most(xs), EDGE.left, WIDTH - EDGE.right, false, 0);
  const y = scale(least(ys), most(ys), HEIGHT - EDGE.bottom, EDGE.top, log, 0.05);
  const cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
  const dots = svg("g");
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0", "aria-label": `${label} by step, ${drawn.length} runs` },
    ticks(x).map((at) => svg("text", { x: x(at), y: HEIGHT - EDGE.bottom + 16, "text-anchor": "middle" }, number(at))),
    ticks(y).map((at) => [
      svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(at), y2: y(at) }),
      svg("text", { x: EDGE.left - 8, y: y(at) + 4, "text-anchor": "end" }, number(at)),
    ]).flat(),
    svg("text", { x: (EDGE.left + WIDTH - EDGE.right) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, "step"),
    drawn.map((line) => (line.points.length === 1
      ? svg("circle", { cx: x(line.points[0][0]), cy: y(line.points[0][1]), r: 3.5, fill: line.colour })
      : svg("path", { d: path(line.points, x, y), stroke: line.colour, "stroke-dasharray": line.dash || null, class: "line" }))),
    cursor, dots);
  const note = el("div", { class: "note", hidden: true });
  follow(picture, drawn, x, y, cursor, dots, note, [...new Set(xs)].sort((a, b) => a - b));
  return el("div", { class: "chart" }, picture, note);
}

function follow(picture, lines, x, y, cursor, dots, note, steps) {
  let at = -1;
  const show = (place) => {
    at = Math.max(0, Math.min(steps.length - 1, place));
    const step = steps[at];
    const values = lines.map((line) => ({ line, point: line.points.find(([value]) => value === step) })).filter((found) => found.point);
    values.sort((a, b) => b.point[1] - a.point[1]);
    cursor.setAttribute("x1", x(step)); cursor.setAttribute("x2", x(step)); cursor.setAttribute("visibility", "visible");
    dots.replaceChildren(...values.map(({ line, point }) => svg("circle", { cx: x(point[0]), cy: y(point[1]), r: 3.2, fill: line.colour })));
    note.replaceChildren(el("strong", {}, `step ${number(step)}`), ...values.map(({ line, point }) => {
      return el("div", {}, chipOf(line), el("span", { class: "grow" }, line.name), el("span", { class: "num" }, number(point[1])));
    }));
    note.hidden = false;
    note.classList.toggle("left", x(step) > WIDTH / 2);
  };
  const hide = () => { note.hidden = true; cursor.setAttribute("visibility", "hidden"); dots.replaceChildren(); at = -1; };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const value = x.back(((event.clientX - box.left) / box.width) * WIDTH);
    show(steps.reduce((best, step, place) => (Math.abs(step - value) < Math.abs(steps[best] - value) ? place : best), 0));
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move) { event.preventDefault(); show(at + move); }
    if (event.key === "Escape") hide();
  });
}

const least = (values) => values.reduce((a, b) => Math.min(a, b));
const most = (values) => values.reduce((a, b) => Math.max(a, b));

function scale(low, high, from, to, log, margin) {
  const forth = log ? Math.log10 : (value) => value, back = log ? (value) => 10 ** value : (value) => value;
  let [a, b] = [forth(low), forth(high)];
  if (a === b) [a, b] = [a - 0.5 * (Math.abs(a) || 1), b + 0.5 * (Math.abs(b) || 1)];
  const room = (b - a) * margin;
  [a, b] = [a - room, b + room];
  const place = (value) => from + ((forth(value) - a) / (b - a)) * (to - from);
  place.back = (pixel) => back(a + ((pixel - from) / (to - from)) * (b - a));
  place.ends = [back(a), back(b)];
  place.log = log;
  return place;
}

function ticks(place) {
  const [low, high] = place.ends;
  if (place.log && high / low > 20) {
    const decades = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power += 1) decades.push(10 ** power);
    if (decades.length > 1) return decades;
  }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(10)));
  return found;
}

const path = (points, x, y) => points.map(([a, b], place) => `${place ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
