// "resnet status:finished validation/pq>0.6" — every word must hold.
const COMPARED = /^([^<>=:]+)(<=|>=|<|>|=|:)(.+)$/;
const FIELDS = ["name", "experiment", "status", "task", "sweep", "trial", "network"];

export function makeFilter(text, data) {
  const words = text.trim().split(/\s+/).filter(Boolean);
  const rules = words.map((word) => rule(word, data));
  return (place) => rules.every((holds) => holds(place));
}

function rule(word, data) {
  const parts = COMPARED.exec(word);
  const column = parts && columnOf(parts[1], data);
  if (!column) return plain(word.toLowerCase(), data);
  const [, , sign, wanted] = parts;
  const limit = Number(wanted);
  if (sign === ":" || sign === "=") {
    return (place) => {
      const value = column[place];
      if (value === null || value === undefined) return false;
      return sign === ":" ? String(value).toLowerCase().includes(wanted.toLowerCase()) : String(value) === wanted || Number(value) === limit;
    };
  }
  const tests = { "<": (a) => a < limit, ">": (a) => a > limit, "<=": (a) => a <= limit, ">=": (a) => a >= limit };
  return (place) => column[place] !== null && column[place] !== "" && tests[sign](Number(column[place]));
}

// A metric, a setting or a field by its name, or by the end of its name.
function columnOf(name, data) {
  if (FIELDS.includes(name)) return data.runs.map((run) => run[name]);
  for (const columns of [data.metrics, data.params]) {
    if (columns[name]) return columns[name];
    const ending = Object.keys(columns).find((key) => key.endsWith(`/${name}`) || key.endsWith(`.${name}`));
    if (ending) return columns[ending];
  }
  return null;
}

function plain(word, data) {
  const params = Object.values(data.params);
  return (place) => FIELDS.some((field) => String(data.runs[place][field]).toLowerCase().includes(word))
    || params.some((column) => String(column[place]).toLowerCase().includes(word));
}
