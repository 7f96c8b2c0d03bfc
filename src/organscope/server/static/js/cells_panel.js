// Cells in numbers: filters, distributions, the table, and corrections of many cells at once.
import { read, readNumber, write } from "./address.js";
import { CellCard } from "./cell_card.js";
import { CellTable } from "./cell_table.js";
import { byId, h, select, show } from "./dom.js";
import { plural, whole } from "./format.js";
import { drawHistogram, drawScatter } from "./plots.js";

const RANGES = [["area", "Area", ["area_um2", "area_px"]], ["probability", "Cell probability", ["probability"]]];
const MOST_AT_ONCE = 100000;

export class CellsPanel {
  constructor(box, cells, details, hooks) {
    Object.assign(this, { cells, details, hooks, selected: -1 });
    this.card = new CellCard(byId("cell-card"), cells, hooks, (action, row) => this.correct(action, [row]));
    this.box = box;
    this.make();
  }

  make() {
    const { box, cells, hooks } = this;
    if (!cells.n) {
      box.replaceChildren(h("p", { class: "empty" }, "No cell was found in this image. One that was missed can be drawn."), this.makeCheck());
      return;
    }
    this.count = h("p", { class: "faint num", id: "cell-count", "aria-live": "polite" });
    this.histogram = h("canvas", { class: "plot", id: "histogram", role: "img", "aria-label": "Histogram of the shown cells; drag over it to filter, or type limits above" });
    this.scatter = h("canvas", { class: "plot tall", id: "scatter", role: "img", "aria-label": "Scatter plot of the shown cells; click for a cell" });
    this.table = new CellTable(cells, (row) => hooks.pick(row, true));
    this.none = h("button", { type: "button", class: "small", id: "none-of-these", hidden: true, onclick: () => this.deleteShown() });
    box.replaceChildren(this.makeCheck(), h("h2", {}, "Show only"), this.makeFilters(), h("div", { class: "count-line" }, this.count, this.none), this.table.element,
      this.makePlotHead("Distribution", ["histogram"]), this.makeMeasureLimits(), this.histogram, this.makePlotHead("Scatter", ["across", "up"]), this.scatter);
    this.listen();
    this.filter();
  }

  // Only cells that an expert looked at teach; where none had to be put right, this says so.
  makeCheck() {
    this.check = h("button", { type: "button", class: "small", id: "accept-cells", onclick: () => this.hooks.said.say("corrections", { action: "accept_cells" }, "Noted: all cells were looked at.") }, "All cells are right now");
    this.checked = h("p", { class: "faint", id: "cells-checked" });
    this.drawCheck();
    return h("div", { class: "count-line" }, this.checked, this.check);
  }

  drawCheck() {
    const { is_checked } = this.details.corrections;
    show(this.check, !is_checked);
    this.checked.textContent = is_checked ? "An expert looked at all cells." : "";
  }

  // After corrections: other cells, shapes or marks.
  corrected() {
    if (!this.filters) return this.make();
    this.drawCheck();
    this.filter();
    if (this.selected >= 0) this.select(this.selected);
    return undefined;
  }

  makeFilters() {
    const rows = RANGES.map(([name, label, columns]) => {
      const column = columns.map((wanted) => this.cells.column(wanted)).find(Boolean);
      if (!column) return null;
      const unit = column.unit ? `${label}, ${column.unit}` : label;
      return [h("span", {}, unit), ...["low", "high"].map((end) => this.makeLimit(name, column.name, end, unit))];
    });
    const organ = this.cells.column("organ");
    if (organ) rows.push([h("span", {}, "Organ"), select([["", "all"], ...organ.categories.map((name) => [name, name])], read("organ"), (value) => this.change({ organ: value }), { class: "wide", id: "filter-organ", "aria-label": "Organ of the cell" })]);
    rows.push([h("button", { type: "button", class: "small wide", onclick: () => this.clear() }, "Show all cells")]);
    return (this.filters = h("div", { class: "filters" }, rows.flat()));
  }

  makeLimit(name, column, end, unit) {
    const key = `${name}_${end}`;
    const step = name === "probability" ? 0.01 : "any";
    const input = h("input", { type: "number", step, id: `filter-${key}`, "data-column": column, "data-end": end, value: read(key), placeholder: end === "low" ? "from" : "to", "aria-label": `${unit} ${end === "low" ? "from" : "to"}` });
    input.addEventListener("input", () => this.change({ [key]: input.value }));
    return input;
  }

  // Limits of whatever the histogram shows; dragging over it fills them in.
  makeMeasureLimits() {
    this.limits = ["low", "high"].map((end) => {
      const input = h("input", { type: "number", step: "any", id: `measure-${end}`, value: read(`measure_${end}`), placeholder: end === "low" ? "from" : "to", "aria-label": `Measure of the histogram ${end === "low" ? "from" : "to"}` });
      input.addEventListener("input", () => this.change({ measure: this.histogram_column, [`measure_${end}`]: input.value }));
      return input;
    });
    return h("div", { class: "limits" }, h("span", { class: "faint" }, "Only"), this.limits);
  }

  makePlotHead(title, names) {
    const measures = this.cells.measures();
    const standard = { histogram: ["area_um2", "area_px"], across: ["area_um2", "area_px"], up: ["probability", "solidity"] };
    const menus = names.map((name) => {
      const chosen = [name === "histogram" ? read("measure") : "", read(name), ...standard[name]].find((wanted) => this.cells.column(wanted));
      this[`${name}_column`] = chosen;
      return select(measures.map((column) => [column.name, column.unit ? `${column.label}, ${column.unit}` : column.label]), chosen, (value) => this.changePlot(name, value), { id: `plot-${name}`, "aria-label": `${title}: ${name}` });
    });
    return h("div", { class: "plot-head" }, h("h2", {}, title), menus);
  }

  changePlot(name, value) {
    this[`${name}_column`] = value;
    write({ [name]: value });
    if (name !== "histogram" || !read("measure")) return this.drawPlots();
    for (const input of this.limits) input.value = "";
    return this.change({ measure: "", measure_low: "", measure_high: "" });
  }

  change(values) {
    write(values);
    this.filter();
  }

  clear() {
    for (const input of [...this.filters.querySelectorAll("input, select"), ...this.limits]) input.value = "";
    write({ area_low: "", area_high: "", probability_low: "", probability_high: "", organ: "", measure: "", measure_low: "", measure_high: "" });
    this.filter();
  }

  filter() {
    const filters = [...this.filters.querySelectorAll("input")].filter((input) => input.value !== "").map((input) => ({ name: input.dataset.column, [input.dataset.end]: Number(input.value) }));
    if (read("organ")) filters.push({ name: "organ", category: read("organ") });
    if (read("measure")) filters.push({ name: read("measure"), low: readNumber("measure_low", -Infinity), high: readNumber("measure_high", Infinity) });
    this.cells.filter(filters);
    this.drawCount();
    this.table.refresh();
    this.hooks.changed();
  }

  drawCount() {
    const { n, n_shown, n_all } = this.cells;
    const { findings } = this.details;
    const part = n_all > n ? ` (one in ${Math.round(n_all / n)} of ${whole(n_all)}; files hold all)` : "";
    const left = this.shownCells();
    const n_there = n_all > n ? n : findings.n_cells;
    const words = n_shown === n ? plural(n_there, "cell") : `${whole(left.length)} of ${plural(n_there, "cell")} shown`;
    const corrections = [findings.n_deleted ? `${whole(findings.n_deleted)} called none` : "", findings.n_added ? `${whole(findings.n_added)} added` : ""].filter(Boolean).join(", ");
    this.count.textContent = (corrections ? `${words} (${whole(findings.n_found)} found, ${corrections})` : words) + part;
    // Said beside the image too: a filter that hides outlines there is set under another tab.
    show(byId("filtered"), n_shown < n);
    byId("filtered").textContent = `${whole(left.length)} of ${plural(n_there, "cell")} shown: show all`;
    show(this.none, n_shown < n && left.length > 0 && left.length <= MOST_AT_ONCE);
    this.none.textContent = left.length === 1 ? "This is no cell" : `These ${whole(left.length)} are no cells`;
  }

  shownCells() {
    const found = [];
    for (let row = 0; row < this.cells.n; row++) if (this.cells.shown[row] && !this.cells.deleted[row]) found.push(row);
    return found;
  }

  deleteShown() {
    const rows = this.shownCells();
    if (confirm(`Call ${plural(rows.length, "shown cell")} no cell? This can be undone (Ctrl+Z).`)) this.correct("delete_cell", rows);
  }

  drawPlots() {
    if (!this.histogram?.clientWidth) return;
    this.histogram_scale = drawHistogram(this.histogram, this.cells, this.cells.column(this.histogram_column));
    this.scatter_scale = drawScatter(this.scatter, this.cells, this.cells.column(this.across_column), this.cells.column(this.up_column), this.hooks.colours());
  }

  draw() {
    this.drawPlots();
    this.table?.draw();
  }

  listen() {
    byId("filtered").onclick = () => this.clear();
    let from = null;
    this.histogram.addEventListener("pointerdown", (event) => (from = event.offsetX));
    this.histogram.addEventListener("pointerup", (event) => {
      if (from === null || Math.abs(event.offsetX - from) < 5) return;
      const ends = [from, event.offsetX].map((x) => this.histogram_scale.toValue(x)).sort((a, b) => a - b).map((value) => value.toPrecision(4));
      from = null;
      this.limits.forEach((input, place) => (input.value = ends[place]));
      this.change({ measure: this.histogram_column, measure_low: ends[0], measure_high: ends[1] });
    });
    this.scatter.addEventListener("click", (event) => {
      const row = this.scatter_scale.nearest(event.offsetX, event.offsetY);
      if (row >= 0) this.hooks.pick(row, true);
    });
    addEventListener("themechange", () => this.drawPlots());
    addEventListener("resize", () => this.drawPlots());
  }

  select(row) {
    this.selected = row;
    this.table?.select(row);
    this.card.draw(row);
  }

  async correct(action, rows) {
    const words = { delete_cell: rows.length > 1 ? `Noted: ${plural(rows.length, "object")} are no cells.` : "Noted: no cell.", mark_cell: "Noted: wrong outline.", restore_cell: "Taken back." }[action];
    await this.hooks.said.say("corrections", { action, cells: rows.map((row) => this.cells.id[row]) }, words);
  }
}
