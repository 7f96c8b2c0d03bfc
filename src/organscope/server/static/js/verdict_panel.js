// The answer for one image in plain words, its reasons, its price, and what the expert says.
import { runAgain } from "./again.js";
import { attempt, get } from "./api.js";
import { h, select, show } from "./dom.js";
import { day, expertWord, number, optionsInWords, percent, plural, whole } from "./format.js";
import { changePixelSize, pixelSizeInWords } from "./pixel_size.js";
import { makeQuestion } from "./question.js";

// `said` takes what the expert says, `open_next` opens the next image.
export function makeVerdict(box, details, said_by_expert, open_next) {
  const answer = h("div", { id: "answer", "aria-live": "polite" });
  const price = h("section", { class: "panel question", "aria-label": "What a miss costs" });
  const expert = h("div", { class: "expert", id: "expert" });
  const history = h("div", { id: "history" });
  const about = h("dl", { class: "facts", id: "about" });
  const question = makeQuestion(price, () => refresh());
  box.replaceChildren(answer, h("h2", {}, "Your judgement"), expert, history, h("h2", {}, "What a miss costs"), price, h("h2", {}, "About this image"), about);
  const drawAbout = () => about.replaceChildren(...aboutList(details));
  let asked = 0;
  let latest = null;

  async function refresh() {
    const mine = ++asked;
    const found = await attempt(() => get(`/api/images/${details.image.id}/verdict?${question.query()}`));
    if (!found || mine !== asked) return;
    const verdict = found.verdicts[0];
    question.setOrgans(found.organs);
    question.setPromise(found.promise);
    latest = found;
    answer.replaceChildren(...drawAnswer(verdict, question.positive(), details.corrections));
    drawExpert(verdict, found.organs);
  }

  async function say(body, words) {
    const noted = await said_by_expert.say("corrections", body, words);
    if (noted && !["clear", "note"].includes(body.action) && next.checked) open_next();
  }

  const next = h("input", { type: "checkbox", id: "open-next" });
  next.checked = localStorage.getItem("open-next") !== "no";
  next.addEventListener("change", () => localStorage.setItem("open-next", next.checked ? "yes" : "no"));

  function drawExpert(verdict, organs) {
    const said = details.corrections;
    const note = h("input", { id: "note", maxlength: 2000, value: said.note, placeholder: "A note, with your name and the time" });
    note.addEventListener("change", () => said_by_expert.say("corrections", { action: "note", note: note.value }, "Noted."));
    const noted = h("label", { class: "block" }, "Note", note);
    if (said.action) {
      expert.replaceChildren(h("span", { class: "tag good" }, `${expertWord(said)}, ${said.action === "accept" ? "accepted" : "named"} by ${said.who}, ${day(said.at)}`), h("button", { type: "button", class: "small", onclick: () => say({ action: "clear" }, "Taken back.") }, "Take back"), noted);
      return;
    }
    const is_sure = verdict.decision === "accept";
    const organ = is_sure ? verdict.organ : verdict.top[0].organ;
    const others = [["", "Another organ…"], ...organs.map((organ) => [organ, organ]), ["other", "One that is not in this list…"]];
    const name = (organ) => say({ action: "override", organ }, `Noted: ${organ}.`);
    const typed = h("input", { id: "other-organ", maxlength: 120, hidden: true, placeholder: "Its name", "aria-label": "Name of the organ" });
    typed.addEventListener("change", () => typed.value.trim() && name(typed.value.trim()));
    const choose = (organ) => {
      show(typed, organ === "other");
      if (organ === "other") typed.focus();
      else if (organ) name(organ);
    };
    const button = (action, words, id) => h("button", { type: "button", id, onclick: () => say({ action }, `Noted: ${words.toLowerCase()}.`) }, words);
    // Of an image that the network does not know, no organ is offered first.
    const accept = verdict.is_strange && !is_sure ? null : h("button", { type: "button", class: is_sure ? "primary" : "", id: "accept", onclick: () => say({ action: "accept", organ }, `Accepted: ${organ}.`) }, is_sure ? `Accept ${organ}` : `It is ${organ}`);
    expert.replaceChildren(...[accept, select(others, "", choose, { id: "override", "aria-label": "Another organ" }), typed, button("not_tissue", "Not tissue", "not-tissue"), button("cannot_tell", "Cannot tell", "cannot-tell"), noted, h("label", { class: "check" }, next, " Open the next image after a verdict")].filter(Boolean));
  }

  const corrected = (said) => {
    drawHistory(history, said);
    drawAbout();
    if (!latest) return;
    answer.replaceChildren(...drawAnswer(latest.verdicts[0], question.positive(), details.corrections));
    drawExpert(latest.verdicts[0], latest.organs);
  };
  refresh();
  drawAbout();
  attempt(async () => drawHistory(history, (await get(`/api/images/${details.image.id}/corrections`)).said));
  return { query: () => question.query(), corrected };
}

// What an expert says is the headline; what the model said stands below.
function drawAnswer(verdict, positive, said) {
  const is_sure = verdict.decision === "accept";
  const likeliest = verdict.top[0];
  const head = said.action ? [h("p", { class: "verdict-answer", id: "verdict" }, expertWord(said)), h("p", { class: "faint", id: "said-by" }, `Says ${said.who}. The model says: ${is_sure ? verdict.organ : "I don’t know"}.`)] : null;
  const parts = head ?? [h("p", { class: is_sure ? "verdict-answer" : "verdict-answer doubt", id: "verdict" }, is_sure ? verdict.organ : "I don’t know")];
  if (is_sure) parts.push(h("p", { class: "faint" }, verdict.organ === likeliest.organ ? `Probability ${percent(verdict.confidence)}` : `The safest answer at this price, although only ${percent(verdict.confidence)} probable`));
  else parts.push(h("div", { class: "because", id: "because" }, h("ul", { class: "plain" }, verdict.why.map((reason) => h("li", {}, reason)))));
  if (verdict.flagged) parts.push(h("p", {}, h("span", { class: "tag doubt" }, `Flagged: may be ${positive}`)));
  parts.push(h("h2", {}, verdict.is_strange ? "Nearest of the organs that it knows" : "Most probable organs"), bars(verdict.top));
  if (verdict.prediction_set) parts.push(h("h2", {}, "Cannot be ruled out"), ...drawSet(verdict));
  if (positive) parts.push(h("p", { class: "faint num", id: "mistake" }, `To rely on “${verdict.organ}” here costs ${number(verdict.cost)} on average, where a false alarm costs 1.`));
  return parts;
}

function drawSet(verdict) {
  const tags = verdict.is_strange ? [] : verdict.prediction_set.map((organ) => h("span", { class: "tag accent" }, organ));
  return [tags.length ? h("div", { class: "set" }, tags) : "", h("p", { class: "faint small", id: "set" }, verdict.set_note)];
}

function bars(top) {
  return h("div", { class: "bars" }, top.map((entry) => [h("span", {}, entry.organ), h("span", { class: "bar" }, h("i", { style: { width: `${100 * entry.probability}%` } })), h("span", { class: "num faint" }, percent(entry.probability))]));
}

// Who said what, and when; nothing that was said is ever lost.
function drawHistory(box, said) {
  const words = { not_tissue: () => "said: not tissue", cannot_tell: () => "said: cannot tell", note: (row) => `wrote “${row.note}”`, accept_cells: () => "looked at all cells", edit_cell: (row) => `drew cell ${row.cell}`, undo: () => "undid the last", redo: () => "did it again", accept: (row) => `accepted ${row.organ}`, override: (row) => `named ${row.organ}`, clear: () => "took the organ back", delete_cell: (row) => `called cell ${row.cell} no cell`, mark_cell: (row) => `marked the outline of cell ${row.cell}`, name_cell: (row) => `named cell ${row.cell} ${row.organ}`, unname_cell: (row) => `took the name of cell ${row.cell} back`, restore_cell: (row) => `took back cell ${row.cell}` };
  const latest = said.slice(-100).reverse();
  box.replaceChildren(said.length ? h("details", { class: "history" }, h("summary", {}, plural(said.length, "correction")),
    h("ol", { class: "plain" }, latest.map((row) => h("li", {}, h("span", { class: "faint num" }, day(row.at)), ` ${row.who} ${words[row.action](row)}`)), said.length > 100 ? h("li", { class: "faint" }, `and ${whole(said.length - 100)} before`) : null)) : "");
}

const AGREEMENTS = { agree: "as the whole image does", disagree: "unlike the whole image", unsure: "but not surely" };

function aboutList(details) {
  const { image, summary, findings, options } = details;
  const size = `${image.width_px} × ${image.height_px} px, ${pixelSizeInWords(summary.um_per_px)}`;
  const change = h("button", { type: "button", class: "small", id: "change-pixel-size", onclick: () => changePixelSize(image.study, options.um_per_px, () => location.reload()) }, "Change pixel size");
  const again = h("button", { type: "button", class: "small", id: "run-again", onclick: () => runAgain(image.study, details.study_name, [image.id], image.name) }, "Run again with other options");
  const facts = [["Size", [size, " ", change]], ["Cells", findings.n_cells === findings.n_found ? whole(findings.n_cells) : `${whole(findings.n_cells)} (${whole(findings.n_found)} found, then corrected)`]];
  if (findings.median_area_um2) facts.push(["Median area", `${number(findings.median_area_um2)} µm²`]);
  else if (findings.median_area_px) facts.push(["Median area", `${number(findings.median_area_px)} px²`]);
  if (summary.cells_organ) facts.push(["Its cells say", `${summary.cells_organ} (${percent(summary.cells_confidence)}), ${AGREEMENTS[summary.agreement] ?? summary.agreement}`]);
  if (summary.image_organ && summary.agreement !== "agree") facts.push(["As a whole it says", `${summary.image_organ} (${percent(summary.image_confidence)})`]);
  for (const flag of findings.quality) facts.push(["Quality", flag.reason]);
  for (const note of findings.notes) facts.push(["Note", note]);
  if (optionsInWords(options)) facts.push(["Given by you", optionsInWords(options)]);
  facts.push(["Models", summary.bundles.map((bundle) => `${bundle.name} ${bundle.version}`).join(", ")]);
  facts.push(["Not right?", again]);
  return facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}
