// Put cells right on the image: click, draw, grow, erase, split, merge, delete, undo, redo; by mouse, pen, finger and keys.
import { byId, show, toast } from "./dom.js";

const TOOLS = {
  click: { key: "c", hint: "Click a cell that was missed; its outline is found from the cells around it.", colour: "#ffe600" },
  draw: { key: "d", hint: "Go round a cell that was missed.", is_closed: true, colour: "#ffe600" },
  add: { key: "b", hint: "Brush over what belongs to the cell; begin in it, or choose it first.", is_brush: true, colour: "rgba(255,230,0,.45)" },
  erase: { key: "e", hint: "Brush over what does not belong to the cell.", is_brush: true, colour: "rgba(213,94,0,.5)" },
  split: { key: "s", hint: "Draw a line across the cell.", colour: "#ffffff" },
  region: { key: "r", hint: "Go round a region of interest; its cells are counted.", is_closed: true, colour: "#00e5ff" },
  merge: { key: "m", hint: "Draw a line through the cells that are one.", colour: "#56b4e9" },
};
const MOST_POINTS = 2000;

// `hooks` has `say(path, body, words)`, `undo()`, `redo()`, `remove(row)` and `selected()`, and `region(ring)`.
export class EditTools {
  constructor(viewer, hooks) {
    Object.assign(this, { viewer, hooks, chosen: "" });
    this.radius = byId("brush");
    for (const name of Object.keys(TOOLS)) byId(`tool-${name}`).onclick = () => this.choose(this.chosen === name ? "" : name);
    byId("undo").onclick = () => hooks.undo();
    byId("redo").onclick = () => hooks.redo();
    this.radius.oninput = () => this.choose(this.chosen);
    addEventListener("keydown", (event) => this.key(event));
    show(byId("edit-bar"), true);
  }

  choose(name) {
    this.chosen = name;
    for (const each of Object.keys(TOOLS)) byId(`tool-${each}`).setAttribute("aria-pressed", String(each === name));
    show(byId("brush-label"), Boolean(TOOLS[name]?.is_brush));
    byId("tool-hint").textContent = name ? TOOLS[name].hint : "";
    this.viewer.canvas.classList.toggle("drawing", Boolean(name));
    this.viewer.tool = name ? { ...TOOLS[name], radius_px: Number(this.radius.value), finish: (points) => this.finish(name, points) } : null;
  }

  update({ can_undo, can_redo }) {
    byId("undo").disabled = !can_undo;
    byId("redo").disabled = !can_redo;
  }

  finish(kind, drawn) {
    const step = Math.ceil(drawn.length / MOST_POINTS);
    const points = drawn.filter((_, place) => place % step === 0 || place === drawn.length - 1);
    if (kind === "region") return this.hooks.region(points);
    const cells = ["draw", "click"].includes(kind) ? [] : this.cellsOf(kind, points);
    if (!cells) return undefined;
    const words = { draw: "Noted: a cell.", click: "Noted: a cell.", add: "Noted: larger.", erase: "Noted: smaller.", split: "Noted: split.", merge: "Noted: one cell." }[kind];
    return this.hooks.say("edits", { kind, cells, points, radius_px: Number(this.radius.value) }, words);
  }

  // The chosen cell, or the one that the stroke begins in; for a line all that it goes through.
  cellsOf(kind, points) {
    const { cells } = this.viewer.outlines;
    const through = [...new Set(points.map(([x, y]) => this.viewer.outlines.cellAt(x, y, 0, true)).filter((row) => row >= 0))];
    if (kind === "merge") {
      if (through.length > 1) return through.map((row) => cells.id[row]);
      toast("Expected a line through two cells or more. Begin in one and end in another.", true);
      return null;
    }
    const selected = this.hooks.selected();
    const row = selected >= 0 ? selected : kind === "split" ? this.inTheMiddle(points, through) : through[0];
    if (row !== undefined) return [cells.id[row]];
    toast("Expected a cell under the pointer, found none. Choose one with a click, or begin in it.", true);
    return null;
  }

  // A line across a cell begins and ends outside it, perhaps in its neighbors.
  inTheMiddle(points, through) {
    const [[x0, y0], [x1, y1]] = [points[0], points[points.length - 1]];
    const row = this.viewer.outlines.cellAt((x0 + x1) / 2, (y0 + y1) / 2, 0, true);
    return row >= 0 ? row : through[0];
  }

  key(event) {
    if (event.target.closest("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") event.shiftKey ? this.hooks.redo() : this.hooks.undo();
      else if (key === "y") this.hooks.redo();
      else return;
    } else if (event.altKey) return;
    else if (event.key === "Delete" || event.key === "Backspace") this.hooks.remove(this.hooks.selected());
    else if (event.key === "Escape" && this.chosen) this.choose("");
    else {
      const name = Object.keys(TOOLS).find((each) => TOOLS[each].key === key);
      if (!name) return;
      this.choose(this.chosen === name ? "" : name);
    }
    event.preventDefault();
  }
}
