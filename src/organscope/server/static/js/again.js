// Analyze again with other options, as a study of its own: nothing is uploaded, and the first results stay.
import { attempt, post } from "./api.js";
import { h } from "./dom.js";
import { makeOptions } from "./options.js";

let box = null;

// Of some images of a study; of all where `images` is empty. `chosen` are models to begin with.
export async function runAgain(study, name, images, words, chosen = []) {
  box?.remove();
  const fields = h("div", { class: "fields" });
  const options = makeOptions(fields, "again-");
  options.inputs.name.value = `${name}, again`.slice(0, 120);
  const start = h("button", { class: "primary", id: "again-start" }, "Run again");
  const form = h("form", {}, h("h2", { id: "again-title" }, `Run again: ${words}`), h("p", { class: "faint" }, "The results come as a new study beside this one, from the same files. What you corrected here stays here."), fields,
    h("p", { class: "buttons" }, start, h("button", { type: "button", onclick: () => box.close() }, "Close")));
  box = h("dialog", { id: "again", "aria-labelledby": "again-title" }, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const made = await post(`/api/studies/${study}/again`, { ...options.values(), name: options.inputs.name.value.trim() || null, images });
      location.href = `/studies/${made.id}`;
    });
  });
  document.body.append(box);
  box.showModal();
  await attempt(() => options.offerModels());
  for (const id of chosen) for (const menu of box.querySelectorAll("select")) if ([...menu.options].some((option) => option.value === id)) menu.value = id;
}
