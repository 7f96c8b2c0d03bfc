// Regions of interest: drawn on the image, named, counted.
import { attempt, get, post } from "./api.js";
import { h, show } from "./dom.js";
import { number, plural, whole } from "./format.js";

const COLOUR = "#00e5ff";

export class Regions {
  constructor(box, viewer, image) {
    Object.assign(this, { box, viewer, path: `/api/images/${image}/regions`, list: [] });
    viewer.overlays.push((context, camera) => this.paint(context, camera));
    this.refresh();
  }

  async refresh() {
    this.take(await attempt(() => get(this.path)));
  }

  take(found) {
    if (!found) return;
    this.list = found;
    this.draw();
    this.viewer.redraw();
  }

  async add(ring) {
    const name = prompt("Name of this region", `Region ${this.list.length + 1}`);
    if (name?.trim()) this.take(await attempt(() => post(this.path, { name: name.trim().slice(0, 120), ring })));
  }

  draw() {
    show(this.box, this.list.length > 0);
    const density = (region) => (region.density_per_mm2 === null ? `${number((1e6 * region.n_cells) / region.area_px)} a megapixel` : `${whole(region.density_per_mm2)} a mm²`);
    const area = (region) => (region.area_mm2 === null ? `${whole(region.area_px)} px²` : `${Number(region.area_mm2.toPrecision(3))} mm²`);
    const kinds = (region) => Object.entries(region.kinds).map(([kind, n]) => `, ${n} ${kind}`).join("");
    this.box.replaceChildren(h("h2", {}, "Regions"), h("ul", { class: "plain regions" }, this.list.map((region) => h("li", {},
      h("span", {}, h("strong", {}, region.name), h("span", { class: "faint num" }, ` ${plural(region.n_cells, "cell")}${kinds(region)}, ${density(region)}, ${area(region)}`)),
      h("button", { type: "button", class: "small", "aria-label": `Remove ${region.name}`, onclick: async () => this.take(await attempt(() => post(`${this.path}/${region.id}/remove`))) }, "Remove")))),
      h("a", { class: "button small", href: `${this.path}.csv`, download: true }, "Regions as CSV"));
  }

  paint(context, camera) {
    context.font = "600 13px system-ui, sans-serif";
    for (const region of this.list) {
      for (const [colour, width] of [["rgba(0,0,0,.75)", 5], [COLOUR, 2.5]]) {
        context.beginPath();
        for (const [x, y] of region.ring) context.lineTo(...camera.toView(x, y));
        context.closePath();
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      }
      const [left, top] = camera.toView(...region.ring.reduce((best, point) => (point[1] < best[1] ? point : best)));
      context.fillStyle = "rgba(0,0,0,.75)";
      context.fillRect(left - 3, top - 22, context.measureText(region.name).width + 8, 19);
      context.fillStyle = COLOUR;
      context.fillText(region.name, left + 1, top - 8);
    }
  }
}
