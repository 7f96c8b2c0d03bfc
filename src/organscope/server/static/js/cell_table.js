// A table of any number of cells: only the rows in sight exist.
import { h } from "./dom.js";
import { number } from "./format.js";

const ROW_PX = 26;
const MARGIN_ROWS = 6;

export class CellTable {
  constructor(cells, on_pick) {
    Object.assign(this, { cells, on_pick, selected: -1, sorted: { name: "id", is_falling: false } });
    this.head = h("div", { class: "grid-head", role: "row" });
    this.body = h("div", { class: "grid-body", role: "presentation" });
    this.scroll = h("div", { class: "grid-scroll", tabindex: 0, role: "grid", "aria-label": "Cells", "aria-rowcount": cells.n + 1 }, this.head, this.body);
    this.element = h("div", { class: "grid" }, this.scroll);
    this.rows = [];
    this.scroll.addEventListener("scroll", () => this.draw());
    this.scroll.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.scroll);
    this.refresh();
  }

  sort(name) {
    this.sorted = { name, is_falling: this.sorted.name === name ? !this.sorted.is_falling : name !== "id" };
    this.scroll.scrollTop = 0;
    this.refresh();
  }

  // The rows that the filters let through, in the order of the column.
  refresh() {
    this.columns = inOrder(this.cells);
    const order = this.cells.column(this.sorted.name).order;
    const shown = new Uint32Array(this.cells.n_shown);
    let n = 0;
    for (let k = 0; k < order.length; k++) {
      const row = order[this.sorted.is_falling ? order.length - 1 - k : k];
      if (this.cells.shown[row]) shown[n++] = row;
    }
    this.rows = shown.subarray(0, n);
    this.head.replaceChildren(...this.columns.map((column) => this.headButton(column)));
    this.draw();
  }

  headButton(column) {
    const is_sorted = this.sorted.name === column.name;
    const arrow = is_sorted ? (this.sorted.is_falling ? " ↓" : " ↑") : "";
    const text = column.unit ? `${column.label}, ${column.unit}` : column.label;
    const direction = is_sorted ? (this.sorted.is_falling ? "descending" : "ascending") : "none";
    return h("div", { role: "columnheader", class: column.kind === "number" ? "" : "text", "aria-sort": direction }, h("button", { type: "button", title: text, "data-column": column.name, onclick: () => this.sort(column.name) }, text + arrow));
  }

  draw() {
    const { scrollTop, clientHeight } = this.scroll;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - MARGIN_ROWS);
    const last = Math.min(this.rows.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + MARGIN_ROWS);
    this.body.style.height = `${this.rows.length * ROW_PX}px`;
    const lines = [];
    for (let place = first; place < last; place++) lines.push(this.line(this.rows[place], place));
    this.body.replaceChildren(...lines);
  }

  line(row, place) {
    const marks = [row === this.selected ? "selected" : "", this.cells.deleted[row] ? "deleted" : ""].filter(Boolean).join(" ");
    const line = h("div", { class: `grid-row ${marks}`, role: "row", "aria-rowindex": place + 2, "aria-selected": row === this.selected, style: { top: `${place * ROW_PX}px` }, onclick: () => this.on_pick(row) });
    for (const column of this.columns) line.append(h("span", { role: "gridcell", class: column.kind === "number" ? "" : "text" }, text(column, row)));
    return line;
  }

  select(row, is_followed = true) {
    this.selected = row;
    const place = this.rows.indexOf(row);
    if (is_followed && place >= 0) {
      const top = place * ROW_PX;
      if (top < this.scroll.scrollTop || top > this.scroll.scrollTop + this.scroll.clientHeight - 3 * ROW_PX) this.scroll.scrollTop = top - 3 * ROW_PX;
    }
    this.draw();
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    if (event.target !== this.scroll || !(event.key in steps) || !this.rows.length) return;
    event.preventDefault();
    const place = this.rows.indexOf(this.selected);
    const next = place < 0 ? 0 : Math.min(Math.max(place + steps[event.key], 0), this.rows.length - 1);
    this.on_pick(this.rows[next]);
  }
}

// What is asked for most comes first, where it is in the table; the place of a cell is seen in the image.
const FIRST = ["id", "kind", "kind_probability", "organ", "organ_probability", "probability", "area_um2", "area_px"];

export function inOrder(cells) {
  const first = FIRST.map((name) => cells.column(name)).filter(Boolean);
  const is_place = (column) => column.name.startsWith("centroid");
  const others = cells.columns.filter((column) => !first.includes(column));
  return [...first, ...others.filter((column) => !is_place(column)), ...others.filter(is_place)];
}

export function text(column, row) {
  const value = column.values[row];
  if (column.kind === "category") return column.categories[value] ?? "";
  if (column.kind === "flag") return value ? "yes" : "no";
  return column.name === "id" ? String(value) : number(value);
}
