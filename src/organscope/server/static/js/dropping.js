// Files and folders that are dropped, with the path of each below what was dropped.
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
}

async function walk(entry, above) {
  if (entry.name.startsWith(".")) return [];
  const path = above ? `${above}/${entry.name}` : entry.name;
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    return [Object.assign(file, { path })];
  }
  const reader = entry.createReader();
  const found = [];
  // A directory is read in parts; an empty part is the end.
  for (;;) {
    const part = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!part.length) break;
    found.push(...part);
  }
  return (await Promise.all(found.map((child) => walk(child, path)))).flat();
}
