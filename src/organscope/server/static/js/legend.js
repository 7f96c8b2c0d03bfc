// What the colors mean, and how long a micrometer is.
import { viridis } from "./colours.js";
import { h, show } from "./dom.js";
import { number, whole } from "./format.js";

const BAR_PX = 120;

// Of the evidence layer; the colors are those of the image that the server makes.
export function drawEvidenceLegend(box, organ, is_shown) {
  show(box, is_shown);
  box.replaceChildren(h("strong", {}, "Evidence"), h("span", { class: "entry" }, h("i", { style: { background: "#d55e00" } }), `for ${organ}`), h("span", { class: "entry" }, h("i", { style: { background: "#0072b2" } }), `against ${organ}`));
}

export function drawLegend(box, legend, is_strange = false) {
  if (!legend || legend.entries?.length === 0) return box.replaceChildren();
  const title = h("strong", {}, legend.unit ? `${legend.title}, ${legend.unit}` : legend.title);
  if (legend.entries) return box.replaceChildren(title, ...legend.entries.map((entry) => h("span", { class: "entry" }, h("i", { style: { background: entry.colour } }), entry.text, h("span", { class: "n num" }, whole(entry.n)))), is_strange ? h("div", { class: "note" }, "Not reliable: the image is unlike the training images.") : "");
  const ramp = h("canvas", { width: 190, height: 12 });
  const context = ramp.getContext("2d");
  for (let x = 0; x < 190; x++) {
    context.fillStyle = viridis(x / 189);
    context.fillRect(x, 0, 1, 12);
  }
  return box.replaceChildren(title, ramp, h("div", { class: "ends num" }, h("span", {}, number(legend.low)), h("span", {}, number(legend.high))));
}

// The bar lies along x, so that the width of a pixel counts.
export function drawScale(box, camera, size) {
  show(box, size !== null);
  if (size === null) return;
  const um_per_px = size[1];
  const longest = (BAR_PX / camera.scale) * um_per_px;
  const power = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].map((step) => step * power).find((value) => value <= longest);
  const text = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(2))} µm`;
  box.replaceChildren(text, h("i", { style: { width: `${(length / um_per_px) * camera.scale}px` } }));
}
