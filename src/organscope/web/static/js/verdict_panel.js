// The answer for one image in plain words, its reasons, its price, and what the expert says.
import { attempt, get, post } from "./api.js";
import { h, select, toast } from "./dom.js";
import { number, percent, plural } from "./format.js";
import { makeQuestion } from "./question.js";

export function makeVerdict(box, details, on_corrected) {
  const answer = h("div", { id: "answer", "aria-live": "polite" });
  const price = h("section", { class: "panel question", "aria-label": "What a miss costs" });
  const expert = h("div", { class: "expert", id: "expert" });
  const about = h("div", {});
  const question = makeQuestion(price, () => refresh());
  box.replaceChildren(answer, h("h3", {}, "What a miss costs"), price, h("h3", {}, "Your judgement"), expert, h("h3", {}, "About this image"), about);
  about.replaceChildren(aboutList(details));
  let asked = 0;

  async function refresh() {
    const mine = ++asked;
    const found = await attempt(() => get(`/api/images/${details.image.id}/verdict?${question.query()}`));
    if (!found || mine !== asked) return;
    const verdict = found.verdicts[0];
    question.setOrgans(found.organs);
    question.setPromise(found.promise);
    answer.replaceChildren(...drawAnswer(verdict, details, question.positive()));
    drawExpert(verdict, found.organs);
  }

  function drawExpert(verdict, organs) {
    const said = details.corrections;
    const say = (body, words) => attempt(async () => {
      const now = (await post(`/api/images/${details.image.id}/corrections`, body)).now;
      on_corrected(now);
      toast(words);
      refresh();
    });
    if (said.organ) {
      expert.replaceChildren(h("span", { class: "tag good" }, `${said.organ}, ${said.action === "accept" ? "accepted" : "named"} by ${said.who}`), h("button", { type: "button", class: "small", onclick: () => say({ action: "clear" }, "Taken back.") }, "Take back"));
      return;
    }
    const others = [["", "Another organ…"], ...organs.map((organ) => [organ, organ])];
    expert.replaceChildren(
      h("button", { type: "button", class: "primary", id: "accept", onclick: () => say({ action: "accept", organ: verdict.organ }, `Accepted: ${verdict.organ}.`) }, `Accept ${verdict.organ}`),
      select(others, "", (organ) => organ && say({ action: "override", organ }, `Noted: ${organ}.`), { id: "override", "aria-label": "Another organ" }));
  }

  refresh();
  return { refresh, query: () => question.query() };
}

function drawAnswer(verdict, details, positive) {
  const is_sure = verdict.decision === "accept";
  const parts = [h("p", { class: is_sure ? "verdict-answer" : "verdict-answer doubt", id: "verdict" }, is_sure ? verdict.organ : "I don’t know")];
  if (is_sure) parts.push(h("p", { class: "faint" }, `Probability ${percent(verdict.confidence)}`));
  else parts.push(h("div", { class: "because", id: "because" }, h("b", {}, "Why: "), `${verdict.reason}. The likeliest would be ${verdict.organ}, at ${percent(verdict.confidence)}.`));
  if (verdict.flagged) parts.push(h("p", {}, h("span", { class: "tag doubt" }, `Flagged: may be ${positive}`)));
  parts.push(h("h3", {}, "Most probable"), bars(verdict.top));
  if (verdict.prediction_set) parts.push(h("h3", {}, "Cannot be ruled out"), h("div", { class: "set", id: "set" }, verdict.prediction_set.length ? verdict.prediction_set.map((organ) => h("span", { class: "tag accent" }, organ)) : h("span", { class: "faint" }, "no organ fits: the picture is unlike all of them")));
  if (positive) parts.push(h("p", { class: "faint num", id: "mistake" }, `Relying on this answer costs ${number(verdict.cost)} on average; a false alarm costs 1.`));
  return parts;
}

function bars(top) {
  return h("div", { class: "bars" }, top.map((entry) => [h("span", {}, entry.organ), h("span", { class: "bar" }, h("i", { style: { width: `${100 * entry.probability}%` } })), h("span", { class: "num faint" }, percent(entry.probability))]));
}

function aboutList(details) {
  const { image, summary, quality } = details;
  const size = `${image.width_px} × ${image.height_px} px${summary.um_per_px ? `, ${number(summary.um_per_px)} µm a pixel` : ", pixel size unknown"}`;
  const facts = [["Size", size], ["Cells", plural(summary.n_cells, "cell")]];
  if (summary.median_area_um2) facts.push(["Median area", `${number(summary.median_area_um2)} µm²`]);
  else if (summary.median_area_px) facts.push(["Median area", `${number(summary.median_area_px)} px²`]);
  if (summary.cells_organ) facts.push(["Its cells say", `${summary.cells_organ}, ${percent(summary.cells_confidence)} (${summary.agreement})`]);
  for (const flag of quality) facts.push(["Quality", flag.reason]);
  facts.push(["Models", summary.bundles.map((bundle) => `${bundle.name} ${bundle.version}`).join(", ")]);
  return h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
