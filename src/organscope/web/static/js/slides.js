// Images that lie on the server, in folders that the operator allows.
import { attempt, get, post } from "./api.js";
import { byId, h, show } from "./dom.js";
import { makeStudy } from "./uploading.js";

export function chooseSlides(on_added) {
  byId("slides").showModal();
  open("", on_added);
}

async function open(path, on_added) {
  const found = await attempt(() => get(`/api/folders?path=${encodeURIComponent(path)}`));
  if (!found) return;
  byId("slides-path").textContent = path || "Folders that the operator allows";
  const rows = found.entries.map((entry) => h("li", {}, h("button", { type: "button", onclick: () => (entry.is_folder ? open(entry.path, on_added) : add(entry.path, on_added)) }, `${entry.is_folder ? "📁" : "🔬"} ${entry.name}`)));
  const above = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
  if (path) rows.unshift(h("li", {}, h("button", { type: "button", onclick: () => open(above, on_added) }, "↑ Back")));
  byId("slides-list").replaceChildren(...(rows.length ? rows : [h("li", { class: "empty" }, "No images here.")]));
  const all = byId("slides-all");
  show(all, found.entries.some((entry) => !entry.is_folder));
  all.onclick = () => add(path, on_added);
}

async function add(path, on_added) {
  await attempt(async () => {
    const study = await makeStudy(path.split("/").pop());
    try {
      await post(`/api/studies/${study.id}/slides`, { path });
    } catch (error) {
      await fetch(`/api/studies/${study.id}`, { method: "DELETE" });
      throw error;
    }
    byId("slides").close();
    on_added();
  });
}
