// Twelve runs that can be told apart with any color vision: eight colors (Okabe and Ito 2008), then dashes.
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#2f8fd0", "#7a3ea8", "#4d4d4d"];
const DARK = ["#56b4e9", "#f2874b", "#2fd0a2", "#e59cc6", "#f0e442", "#9cc9ff", "#c79bf0", "#c9d1d9"];
const DASHES = ["", "6 3", "2 3"];

export const MOST_CHOSEN = 12;

// The mark of a run beside its name, dashed as its line is.
export function chipOf({ colour, dash }) {
  const mark = document.createElement("i");
  mark.className = "chip";
  mark.style.background = dash ? `repeating-linear-gradient(90deg, ${colour} 0 4px, transparent 4px 6px)` : colour;
  return mark;
}

export function look(place) {
  const colours = document.documentElement.dataset.theme === "dark" ? DARK : LIGHT;
  return { colour: colours[place % colours.length], dash: DASHES[Math.floor(place / colours.length) % DASHES.length] };
}
