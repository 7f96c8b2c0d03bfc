// The answer for one image in plain words, its reasons, its price, and what the expert says.
import { attempt, get, post } from "./api.js";
import { h, select, toast } from "./dom.js";
import { day, number, percent, plural, whole } from "./format.js";
import { makeQuestion } from "./question.js";

export function makeVerdict(box, details, on_corrected) {
  const answer = h("div", { id: "answer", "aria-live": "polite" });
  const price = h("section", { class: "panel question", "aria-label": "What a miss costs" });
  const expert = h("div", { class: "expert", id: "expert" });
  const history = h("div", { id: "history" });
  const question = makeQuestion(price, () => refresh());
  box.replaceChildren(answer, h("h3", {}, "Your judgement"), expert, history, h("h3", {}, "What a miss costs"), price, h("h3", {}, "About this image"), aboutList(details));
  let asked = 0;

  async function refresh() {
    const mine = ++asked;
    const found = await attempt(() => get(`/api/images/${details.image.id}/verdict?${question.query()}`));
    if (!found || mine !== asked) return;
    const verdict = found.verdicts[0];
    question.setOrgans(found.organs);
    question.setPromise(found.promise);
    answer.replaceChildren(...drawAnswer(verdict, question.positive()));
    drawExpert(verdict, found.organs);
  }

  function drawExpert(verdict, organs) {
    const said = details.corrections;
    const say = (body, words) => attempt(async () => {
      const now = (await post(`/api/images/${details.image.id}/corrections`, body)).now;
      on_corrected(now);
      toast(words);
      refresh();
      drawHistory(history, details.image.id);
    });
    if (said.organ) {
      expert.replaceChildren(h("span", { class: "tag good" }, `${said.organ}, ${said.action === "accept" ? "accepted" : "named"} by ${said.who}, ${day(said.at)}`), h("button", { type: "button", class: "small", onclick: () => say({ action: "clear" }, "Taken back.") }, "Take back"));
      return;
    }
    const is_sure = verdict.decision === "accept";
    const organ = is_sure ? verdict.organ : verdict.top[0].organ;
    const others = [["", "Another organ…"], ...organs.map((organ) => [organ, organ])];
    expert.replaceChildren(
      h("button", { type: "button", class: is_sure ? "primary" : "", id: "accept", onclick: () => say({ action: "accept", organ }, `Accepted: ${organ}.`) }, is_sure ? `Accept ${organ}` : `It is ${organ}`),
      select(others, "", (organ) => organ && say({ action: "override", organ }, `Noted: ${organ}.`), { id: "override", "aria-label": "Another organ" }));
  }

  refresh();
  drawHistory(history, details.image.id);
  return { refresh, query: () => question.query(), drawHistory: () => drawHistory(history, details.image.id) };
}

function drawAnswer(verdict, positive) {
  const is_sure = verdict.decision === "accept";
  const likeliest = verdict.top[0];
  const parts = [h("p", { class: is_sure ? "verdict-answer" : "verdict-answer doubt", id: "verdict" }, is_sure ? verdict.organ : "I don’t know")];
  if (is_sure) parts.push(h("p", { class: "faint" }, verdict.organ === likeliest.organ ? `Probability ${percent(verdict.confidence)}` : `The safest answer at this price, although only ${percent(verdict.confidence)} probable`));
  else parts.push(h("div", { class: "because", id: "because" }, h("ul", { class: "plain" }, verdict.why.map((reason) => h("li", {}, reason)))));
  if (verdict.flagged) parts.push(h("p", {}, h("span", { class: "tag doubt" }, `Flagged: may be ${positive}`)));
  parts.push(h("h3", {}, "Most probable organs"), bars(verdict.top));
  if (verdict.prediction_set) parts.push(h("h3", {}, "Cannot be ruled out"), ...drawSet(verdict));
  if (positive) parts.push(h("p", { class: "faint num", id: "mistake" }, `To rely on “${verdict.organ}” here costs ${number(verdict.cost)} on average, where a false alarm costs 1.`));
  return parts;
}

// A set holds what it promises for pictures like those that it was calibrated on, and for no others.
function drawSet(verdict) {
  if (verdict.is_strange) return [h("p", { class: "faint", id: "set" }, "No organ can be ruled out here: the usual promise does not hold for a picture like this.")];
  const tags = verdict.prediction_set.map((organ) => h("span", { class: "tag accent" }, organ));
  const words = verdict.prediction_set.length ? `The true organ is in this set for ${percent(verdict.coverage)} of pictures like those of the calibration.` : "No organ fits: the picture is unlike all of them.";
  return [h("div", { class: "set", id: "set" }, tags), h("p", { class: "faint small" }, words)];
}

function bars(top) {
  return h("div", { class: "bars" }, top.map((entry) => [h("span", {}, entry.organ), h("span", { class: "bar" }, h("i", { style: { width: `${100 * entry.probability}%` } })), h("span", { class: "num faint" }, percent(entry.probability))]));
}

// Who said what, and when; nothing that was said is ever lost.
async function drawHistory(box, image) {
  const { said } = await get(`/api/images/${image}/corrections`);
  const words = { accept: (row) => `accepted ${row.organ}`, override: (row) => `named ${row.organ}`, clear: () => "took the organ back", delete_cell: (row) => `called cell ${row.cell} no cell`, mark_cell: (row) => `marked the outline of cell ${row.cell}`, restore_cell: (row) => `took back cell ${row.cell}` };
  const latest = said.slice(-100).reverse();
  box.replaceChildren(said.length ? h("details", { class: "history" }, h("summary", {}, plural(said.length, "correction")),
    h("ol", { class: "plain" }, latest.map((row) => h("li", {}, h("span", { class: "faint num" }, day(row.at)), ` ${row.who} ${words[row.action](row)}`)), said.length > 100 ? h("li", { class: "faint" }, `and ${whole(said.length - 100)} before`) : null)) : "");
}

const AGREEMENTS = { agree: "as the whole image does", disagree: "unlike the whole image", unsure: "but not surely" };

function aboutList(details) {
  const { image, summary, quality } = details;
  const size = `${image.width_px} × ${image.height_px} px${summary.um_per_px ? `, ${number(summary.um_per_px)} µm a pixel` : ", pixel size unknown"}`;
  const facts = [["Size", size], ["Cells", whole(summary.n_cells)]];
  if (summary.median_area_um2) facts.push(["Median area", `${number(summary.median_area_um2)} µm²`]);
  else if (summary.median_area_px) facts.push(["Median area", `${number(summary.median_area_px)} px²`]);
  if (summary.cells_organ) facts.push(["Its cells say", `${summary.cells_organ} (${percent(summary.cells_confidence)}), ${AGREEMENTS[summary.agreement] ?? summary.agreement}`]);
  if (summary.image_organ && summary.agreement !== "agree") facts.push(["As a whole it says", `${summary.image_organ} (${percent(summary.image_confidence)})`]);
  for (const flag of quality) facts.push(["Quality", flag.reason]);
  facts.push(["Models", summary.bundles.map((bundle) => `${bundle.name} ${bundle.version}`).join(", ")]);
  return h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
