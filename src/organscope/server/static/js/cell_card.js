// The chosen cell: its measures, and what the expert says of it. It keeps out of the way of the cell itself.
import { inOrder, text } from "./cell_table.js";
import { h, show } from "./dom.js";

export class CellCard {
  constructor(box, cells, hooks, on_correct) {
    Object.assign(this, { box, cells, hooks, on_correct, row: -1 });
  }

  draw(row) {
    this.row = row;
    show(this.box, row >= 0);
    if (row < 0) return;
    const { cells } = this;
    const facts = inOrder(cells).filter((column) => column.name !== "id").flatMap((column) => [h("dt", {}, column.unit ? `${column.label}, ${column.unit}` : column.label), h("dd", { class: "num" }, text(column, row))]);
    const is_changed = cells.deleted[row] || cells.marked[row];
    const acts = is_changed ? [["restore_cell", "Take back"]] : [["delete_cell", "No cell"], ["mark_cell", "Wrong outline"]];
    this.box.replaceChildren(
      h("header", {}, h("strong", {}, `Cell ${cells.id[row]}`), h("button", { type: "button", class: "quiet small", "aria-label": "Close", onclick: () => this.hooks.pick(-1) }, "✕")),
      h("div", { class: "buttons" }, cells.deleted[row] ? h("span", { class: "tag doubt" }, "deleted") : null, cells.marked[row] ? h("span", { class: "tag doubt" }, "wrong outline") : null,
        acts.map(([action, words]) => h("button", { type: "button", class: "small", "data-action": action, onclick: () => this.on_correct(action, row) }, words))),
      h("dl", { class: "facts" }, facts));
  }

  // To the side of the image where the cell is not.
  avoid(camera) {
    if (this.row < 0) return;
    const [left] = camera.toView(this.cells.x[this.row], this.cells.y[this.row]);
    this.box.classList.toggle("at-left", left > camera.view_width / 2);
  }
}
