// What can be taken away, and a link to just this view.
import { flush } from "./address.js";
import { h, toast } from "./dom.js";

const FILES = [
  ["files/cells.csv", "Cells as CSV", "spreadsheets"],
  ["files/cells.parquet", "Cells as Parquet", "Python, R"],
  ["files/cells.geojson", "Outlines as GeoJSON", "QuPath"],
  ["files/labels.ome.tif", "Labels as OME-TIFF", "Fiji, napari"],
];

export function makeTake(box, details, query) {
  const link = (path, text, what) => h("a", { class: "button", href: `/api/images/${details.image.id}/${path}`, download: true }, text, h("small", {}, what));
  const reports = [["report.html", "Report as HTML", "one file"], ["report.pdf", "Report as PDF", "with methods"]].map(([path, text, what]) => {
    const element = link(path, text, what);
    // The report is made at the prices of this moment.
    element.addEventListener("click", () => toast("The report is being made; it arrives as a download."));
    element.addEventListener("click", () => (element.href = `/api/images/${details.image.id}/${path}?${query()}`));
    return element;
  });
  const copied = h("button", { type: "button", id: "copy-link", onclick: copyLink }, "Copy a link to this view");
  box.replaceChildren(h("h2", {}, "Results"), h("div", { class: "take" }, FILES.map((file) => link(...file))), h("h2", {}, "Report"), h("div", { class: "take" }, reports), h("h2", {}, "This view"), h("p", { class: "faint" }, "Place, zoom, colours, filters and prices are in the link."), copied, h("p", { class: "faint" }, "Cells that you called none are left out of all files."));
}

async function copyLink() {
  flush();
  try {
    await navigator.clipboard.writeText(location.href);
    toast("The link is copied.");
  } catch {
    toast(location.href);
  }
}
