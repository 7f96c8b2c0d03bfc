// The page of one image: the image beside its verdict, its cells and its files.
import { read, readNumber, search, write } from "./address.js";
import { get, getBytes } from "./api.js";
import { decodeCells } from "./cells_data.js";
import { CellsPanel } from "./cells_panel.js";
import { colouring } from "./colours.js";
import { Corrections } from "./corrections.js";
import { byId, facts, h, show } from "./dom.js";
import { EditTools } from "./edit_tools.js";
import { timeLeft } from "./format.js";
import { KindsPanel } from "./kinds_panel.js";
import { drawEvidenceLegend, drawLegend, drawScale } from "./legend.js";
import { Regions } from "./regions.js";
import { makeTake } from "./take_panel.js";
import { makeVerdict } from "./verdict_panel.js";
import { Viewer } from "./viewer.js";

const id = facts().image;
const TABS = ["verdict", "cells", "kinds", "take"];
// What goes along to the next image.
const KEPT = ["positive", "cost", "recall", "tab", "colour", "outlines", "evidence"];
let viewer = null;
let panel = null;
let colours = null;
let kinds = null;

async function begin() {
  let details;
  try {
    details = await get(`/api/images/${id}`);
  } catch (error) {
    if (error.is_away) return undefined;
    return notice(h("p", {}, error.message));
  }
  drawHead(details);
  if (!viewer && details.image.is_shown) makeViewer(details);
  if (details.summary === null) return waitFor(details);
  show(byId("notice"), false);
  return showResults(details);
}

function drawHead(details) {
  document.title = `${details.image.name} · organscope`;
  byId("crumb").textContent = byId("title").textContent = details.image.name;
  byId("crumb-study").textContent = details.study_name;
  byId("crumb-study").href = `/studies/${details.image.study}`;
  drawNeighbours(details);
}

// In the order of review where one came from the study; what was asked there is asked here too.
function drawNeighbours(details) {
  const order = JSON.parse(sessionStorage.getItem(`order-${details.image.study}`) ?? "[]");
  const place = order.indexOf(id);
  const [previous, next] = place < 0 ? [details.previous, details.next] : [order[place - 1], order[place + 1]];
  for (const [name, neighbour] of [["previous", previous], ["next", next]]) {
    show(byId(name), Boolean(neighbour));
    const update = () => (byId(name).href = `/images/${neighbour}?${search(KEPT)}`);
    byId(name).onfocus = byId(name).onpointerenter = update;
    update();
  }
  byId("place").textContent = place < 0 ? "" : `${place + 1} of ${order.length}`;
}

addEventListener("keydown", (event) => {
  const name = { n: "next", p: "previous" }[event.key];
  if (!name || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea") || byId(name).hidden) return;
  byId(name).focus();
  byId(name).click();
});

// The next image in the order of review, after a verdict.
function openNext() {
  if (byId("next").hidden) return;
  byId("next").focus();
  byId("next").click();
}

function waitFor(details) {
  const { image } = details;
  byId("panel-verdict").replaceChildren(h("p", { class: "empty" }, "The results come here."));
  if (image.state === "failed") return notice(h("p", { class: "reason" }, image.message));
  if (image.state === "cancelled") return notice(h("p", {}, "The analysis was cancelled."));
  notice(h("p", {}, `${image.stage || "Waiting in the queue"}, ${timeLeft(image.seconds_left)}`), h("progress", { max: 1, value: image.fraction, "aria-label": "Analysis" }));
  byId("notice").classList.toggle("low", image.is_shown);
  setTimeout(begin, 700);
  return undefined;
}

function notice(...children) {
  byId("notice").replaceChildren(...children);
  show(byId("notice"), true);
}

function makeViewer(details) {
  const moved = (camera) => {
    drawScale(byId("scale"), camera, details.image.um_per_px);
    panel?.card.avoid(camera);
    if (camera.is_fit) write({ x: "", y: "", zoom: "" });
    else write({ x: camera.x.toFixed(1), y: camera.y.toFixed(1), zoom: camera.scale.toPrecision(4) });
  };
  const place = [readNumber("x"), readNumber("y"), readNumber("zoom")];
  viewer = new Viewer(byId("viewer"), details, moved, (row) => kinds?.name(row) || pick(row, false));
  if (place.every((value) => value !== null)) viewer.camera.goTo(...place);
  byId("zoom-in").onclick = () => viewer.zoom(1.5);
  byId("zoom-out").onclick = () => viewer.zoom(1 / 1.5);
  byId("zoom-fit").onclick = () => viewer.fit();
}

async function showResults(details) {
  if (panel) return;
  const cells = decodeCells(await getBytes(`/api/images/${id}/cells`));
  cells.correct(details.corrections);
  viewer.outlines.setCells(cells);
  const corrected = (answer) => {
    details.corrections = answer.now;
    details.findings = answer.findings;
    cells.correct(answer.now);
    if (panel.selected >= cells.n) pick(-1);
    panel.corrected();
    viewer.redraw();
    verdict.corrected(answer.said);
    kinds.corrected(answer.now.kinds);
    if (regions.list.length) regions.refresh();
    tools.update(answer.now);
  };
  const said = new Corrections(id, corrected);
  const colourMenu = makeColours(cells, details.findings.quality.some((flag) => flag.flag === "unlike training"));
  panel = new CellsPanel(byId("cells-of-image"), cells, details, { pick, said, changed: () => colourMenu.apply(), colours: () => colours });
  const verdict = makeVerdict(byId("panel-verdict"), details, said, openNext);
  const regions = new Regions(byId("regions"), viewer, id);
  const tools = new EditTools(viewer, {
    region: async (ring) => { await regions.add(ring); openTab("cells"); },
    say: (...what) => said.say(...what), undo: () => said.undo(), redo: () => said.redo(), selected: () => panel.selected,
    remove: (row) => row >= 0 && !cells.deleted[row] && panel.correct("delete_cell", [row]),
  });
  tools.update(details.corrections);
  kinds = new KindsPanel(byId("panel-kinds"), cells, details, { pick, said, changed: () => panel.filters && panel.filter(), colourBy: (name) => colourMenu.by(name), selected: () => panel.selected });
  makeTake(byId("panel-take"), details, verdict.query);
  makeLayers(details);
  makeTabs();
  const row = cells.row_of.get(readNumber("cell"));
  if (row !== undefined) pick(row, false);
}

function pick(row, is_shown) {
  if (!panel) return;
  viewer.select(row);
  panel.select(row);
  write({ cell: row >= 0 ? panel.cells.id[row] : "" });
  if (row < 0) return;
  if (is_shown) viewer.showCell(row);
}

// Of an image unlike the training images the organs of cells mean little: they are shown only where asked for.
function makeColours(cells, is_strange) {
  const menu = byId("colour");
  const offer = (chosen) => {
    const choices = [["plain", "plain"], ...["kind", "kind_probability", "organ", "probability", "organ_probability", "area_um2", "area_px"].filter((name) => cells.column(name)).map((name) => [name, cells.column(name).label.toLowerCase()])];
    const wanted = choices.filter(([name]) => name !== "area_px" || !cells.column("area_um2"));
    const known = wanted.some(([name]) => name === chosen) ? chosen : cells.column("organ") && !is_strange ? "organ" : "plain";
    menu.replaceChildren(...wanted.map(([value, text]) => h("option", { value, selected: value === known }, text)));
  };
  const apply = () => {
    colours = colouring(cells, menu.value);
    viewer.outlines.setColours(colours);
    drawLegend(byId("legend"), colours.legend, is_strange && menu.value.startsWith("organ"));
    viewer.redraw();
    panel?.drawPlots();
  };
  const by = (name) => {
    offer(name);
    if (name) write({ colour: name });
    apply();
  };
  menu.onchange = () => {
    write({ colour: menu.value });
    apply();
  };
  offer(read("colour"));
  apply();
  return { apply, by };
}

function makeLayers(details) {
  const outlines = byId("show-cells");
  outlines.checked = read("outlines") !== "off";
  const apply = () => {
    viewer.outlines.is_shown = outlines.checked;
    write({ outlines: outlines.checked ? "" : "off" });
    viewer.redraw();
  };
  outlines.onchange = apply;
  apply();
  if (details.has_evidence) makeEvidence(details.evidence_organ);
}

function makeEvidence(organ) {
  const box = byId("show-evidence");
  const strength = byId("evidence-strength");
  show(byId("evidence-label"), true);
  const picture = new Image();
  const apply = async () => {
    show(strength, box.checked);
    drawEvidenceLegend(byId("evidence-legend"), organ, box.checked);
    write({ evidence: box.checked ? "on" : "" });
    if (box.checked && !picture.src) {
      picture.src = `/api/images/${id}/evidence`;
      await picture.decode();
    }
    viewer.evidence = box.checked ? picture : null;
    viewer.evidence_strength = strength.value / 100;
    viewer.redraw();
  };
  box.checked = read("evidence") === "on";
  box.onchange = apply;
  strength.oninput = apply;
  apply();
}

function makeTabs() {
  for (const [place, name] of TABS.entries()) {
    const tab = byId(`tab-${name}`);
    tab.onclick = () => openTab(name);
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = TABS[(place + step + TABS.length) % TABS.length];
      openTab(next);
      byId(`tab-${next}`).focus();
    };
  }
  openTab(TABS.includes(read("tab")) ? read("tab") : "verdict");
}

function openTab(chosen) {
  for (const name of TABS) {
    byId(`tab-${name}`).setAttribute("aria-selected", name === chosen);
    byId(`tab-${name}`).tabIndex = name === chosen ? 0 : -1;
    show(byId(`panel-${name}`), name === chosen);
  }
  write({ tab: chosen === "verdict" ? "" : chosen });
  if (chosen === "cells") panel.draw();
  if (chosen !== "kinds") kinds.choose("");
}

addEventListener("serverback", begin);
begin();
