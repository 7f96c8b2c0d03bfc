// The printed link carries the token behind #, which never reaches a log.
import { byId } from "./dom.js";

async function enter(token) {
  const answer = await fetch("/api/login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
  if (answer.ok) location.replace("/");
  else byId("login-problem").textContent = (await answer.json()).detail;
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(byId("token").value.trim());
});

if (location.hash.length > 1) {
  const token = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  enter(token);
}
