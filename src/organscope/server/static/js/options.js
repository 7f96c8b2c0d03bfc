// What can be chosen for an analysis: how files are read and which models look at them. The words are those that notes
// and refusals of the server use.
import { get } from "./api.js";
import { h } from "./dom.js";
import { readPixelSize } from "./format.js";

const RECALLS = [["", "as the model does by itself"], ["0.9", "at least 90\u00a0%"], ["0.95", "at least 95\u00a0%"], ["0.99", "at least 99\u00a0%"]];
const MEASURES = [["", "shape and intensity"], ["texture,neighbors", "texture and neighbors too"], ["texture,stain,neighbors", "texture, stains, neighbors too"]];
const count = { type: "number", min: 0, max: 1000000, step: 1, placeholder: "the first" };
const FIELDS = [
  ["name", "Name of the study", "text", { maxlength: 120 }],
  ["pixel-size", "Pixel size, in place of what the files say", "text", { inputmode: "decimal", maxlength: 40, placeholder: "0.5, or height,width" }, "µm"],
  ["channel", "Channel, its number from 0 or its name", "text", { maxlength: 100, placeholder: "all" }],
  ["diameter", "Cell size", "text", { type: "number", min: 2, max: 2000, step: "any", placeholder: "estimated" }, "px wide"],
  ["recall", "Of all cells, find", "choice", RECALLS],
  ["measures", "Of each cell, measure", "choice", MEASURES],
  ["page", "Page, from 0", "text", count],
  ["z", "Plane, from 0", "text", count],
  ["t", "Time point, from 0", "text", count],
  ["series", "Image in the file, from 0", "text", { ...count, placeholder: "the largest" }],
  ["project", "Of a stack", "choice", [["", "one plane"], ["max", "Brightest of all planes"]]],
];
const whole = (text) => (text === "" ? null : Number(text));

// Fields with ids that begin with a prefix; `names` says which.
export function makeOptions(box, prefix, names = FIELDS.map(([name]) => name)) {
  const inputs = {};
  const labels = FIELDS.filter(([name]) => names.includes(name)).map(([name, words, kind, about, unit]) => {
    const id = `${prefix}${name}`;
    inputs[name] = kind === "choice" ? h("select", { id }, about.map(([value, text]) => h("option", { value }, text))) : h("input", { id, ...about });
    return h("label", {}, words, unit ? h("span", { class: "unit" }, inputs[name], ` ${unit}`) : inputs[name]);
  });
  const models = h("div", { class: "fields" });
  box.replaceChildren(...labels, models);
  const menus = [];
  const text = (name) => inputs[name]?.value.trim() ?? "";
  return {
    inputs,
    // A menu of models for each task, where there is a choice.
    async offerModels() {
      const known = await get("/api/bundles");
      menus.length = 0;
      for (const [task, words] of [["segmentation", "Cells found by"], ["classification", "Organ named by"]]) {
        const some = known.filter((bundle) => bundle.task === task);
        const menu = h("select", { id: `${prefix}bundle-${task}` }, h("option", { value: "" }, `the standard: ${some.find((one) => one.used)?.name ?? "none"}`), some.filter((one) => !one.used).map((one) => h("option", { value: one.id }, `${one.name} ${one.version}${one.id.startsWith("taught-") ? `: ${one.classes.join(", ")}` : ""}`)));
        menus.push(menu);
        models.append(h("label", {}, words, menu));
      }
    },
    // As the server takes them; throws where the pixel size is none.
    values() {
      const channel = text("channel");
      return {
        um_per_px: readPixelSize(text("pixel-size")), channel: channel === "" ? null : /^\d+$/.test(channel) ? Number(channel) : channel,
        page: whole(text("page")), z: whole(text("z")), t: whole(text("t")), series: whole(text("series")), project: text("project") || null,
        diameter_px: whole(text("diameter")), min_cell_recall: whole(text("recall")), measures: text("measures") ? text("measures").split(",") : [], bundles: menus.map((menu) => menu.value).filter(Boolean),
      };
    },
    clear() {
      for (const input of [...Object.values(inputs), ...menus]) input.value = "";
    },
  };
}
