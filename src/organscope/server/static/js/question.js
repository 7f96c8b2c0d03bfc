// What a miss costs: the organ that must not be missed, how much worse a miss is, what recall is promised.
import { read, readNumber, write } from "./address.js";
import { h, select, show } from "./dom.js";
import { times } from "./format.js";

// The slider is logarithmic: 0 is 1, 100 is 1,000.
const toCost = (place) => 10 ** ((3 * place) / 100);
const toPlace = (cost) => (100 * Math.log10(cost)) / 3;
const RECALLS = [["", "no promise"], ["0.9", "90\u00a0% of them"], ["0.95", "95\u00a0% of them"], ["0.99", "99\u00a0% of them"]];

export function makeQuestion(box, on_change) {
  const asked = { positive: read("positive"), cost: readNumber("cost", 10), recall: read("recall") };
  const organ = h("select", { id: "positive" });
  const words = h("output", { for: "miss-cost" });
  const slider = h("input", { type: "range", id: "miss-cost", min: 0, max: 100, step: 1, value: toPlace(asked.cost), "aria-label": "How many times worse a miss is than a false alarm" });
  const recall = select(RECALLS, asked.recall, (value) => change({ recall: value }), { id: "min-recall" });
  const promise = h("div", { class: "promise", hidden: true });
  const price = h("div", { class: "slider" }, words, slider);
  const promised = h("label", { class: "block" }, "Find at least", recall);
  const hint = h("p", { class: "hint" }, "Choose an organ and say how much worse it is to miss it than to look in vain. Verdicts and order of review follow at once; no network runs again.");
  box.replaceChildren(h("div", { class: "controls" }, h("label", { class: "block" }, "The organ that must not be missed", organ), hint, price, promised), promise);
  organ.addEventListener("change", () => change({ positive: organ.value }));
  slider.addEventListener("input", () => change({ cost: Number(toCost(Number(slider.value)).toPrecision(2)) }));

  function change(values) {
    Object.assign(asked, values);
    draw();
    write({ positive: asked.positive, cost: asked.positive ? asked.cost : "", recall: asked.positive ? asked.recall : "" });
    on_change();
  }

  function draw() {
    const is_asked = asked.positive !== "";
    show(hint, !is_asked);
    show(price, is_asked);
    show(promised, is_asked);
    words.textContent = `Missing one is ${times(asked.cost)} times worse than a false alarm`;
    slider.setAttribute("aria-valuetext", `${times(asked.cost)} times worse`);
  }

  function offer(organs) {
    const options = [["", "none in particular"], ...organs.map((name) => [name, name])];
    if (organ.options.length === options.length) return;
    organ.replaceChildren(...options.map(([value, text]) => h("option", { value, selected: value === asked.positive }, text)));
  }

  // What is asked shows before the first verdict says which organs there are.
  offer(asked.positive ? [asked.positive] : []);
  draw();
  return {
    query: () => {
      const query = new URLSearchParams();
      if (asked.positive) {
        query.set("positive", asked.positive);
        query.set("miss_cost", asked.cost);
        if (asked.recall) query.set("min_recall", asked.recall);
      }
      return query.toString();
    },
    positive: () => asked.positive,
    setOrgans: offer,
    setPromise: (sentences) => {
      show(promise, sentences.length > 0);
      promise.replaceChildren(...sentences.map((sentence) => h("p", {}, sentence)));
    },
  };
}
