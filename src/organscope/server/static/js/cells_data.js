// The table of cells as typed arrays, as the server packs it, and the order of its rows by any column.
const INDEX_BITS = 2 ** 21;

export function decodeCells(buffer) {
  const { header, columns } = decodeColumns(buffer);
  return new Cells(header.n, columns, header.n_all);
}

// A header and its columns, found by name.
export function decodeColumns(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const begin = Math.ceil((4 + length) / 4) * 4;
  const columns = header.columns.map((column, place) => new Column(column, new Float32Array(buffer, begin + 4 * place * header.n, header.n)));
  return { header, columns, column: (name) => columns.find((column) => column.name === name) };
}

class Column {
  constructor(entry, values) {
    Object.assign(this, entry, { values });
  }

  // Ascending order of the rows. Value and row are packed into one number, which sorts natively: ten times as fast
  // as with a comparison of our own.
  get order() {
    if (!this.known_order) {
      const bits = new Uint32Array(new Float32Array(this.values).buffer);
      const keys = new Float64Array(bits.length);
      for (let row = 0; row < bits.length; row++) {
        const sortable = bits[row] & 0x80000000 ? ~bits[row] >>> 0 : (bits[row] | 0x80000000) >>> 0;
        keys[row] = sortable * INDEX_BITS + row;
      }
      this.known_order = Uint32Array.from(keys.sort(), (key) => key % INDEX_BITS);
    }
    return this.known_order;
  }

  // The values at two shares of the cells, as the ends of an axis that one odd cell does not stretch.
  range(low = 0, high = 1) {
    const finite = this.order.filter((row) => Number.isFinite(this.values[row]));
    if (!finite.length) return [0, 1];
    const at = (share) => this.values[finite[Math.round(share * (finite.length - 1))]];
    return [at(low), at(high)];
  }
}

class Cells {
  constructor(n, columns, n_all = n) {
    this.n_found = n;
    this.n_all = n_all;
    this.columns = columns;
    this.kinds = null;
    this.by_name = new Map(columns.map((column) => [column.name, column]));
    this.found = columns.map((column) => column.values);
    this.n_deleted = 0;
    this.version = 0;
    this.resize([]);
  }

  // Rows of the cells that were found, with those that experts drew behind them and the measures of those they changed.
  resize(edited) {
    const known = new Map();
    for (let row = 0; row < this.n_found; row++) known.set(this.found[this.columns.indexOf(this.column("id"))][row], row);
    const drawn = edited.filter((cell) => !known.has(cell.id));
    this.n = this.n_found + drawn.length;
    drawn.forEach((cell, place) => known.set(cell.id, this.n_found + place));
    this.row_of = known;
    this.columns.filter((column) => !column.is_extra).forEach((column, place) => {
      column.known_order = null;
      column.values = edited.length ? new Float32Array(this.n).fill(NaN) : this.found[place];
      if (edited.length) column.values.set(this.found[place]);
      for (const cell of edited) {
        const value = column.name === "id" ? cell.id : cell.measures[column.name];
        if (value !== undefined) column.values[known.get(cell.id)] = value;
      }
    });
    this.edited = new Map(edited.map((cell) => [known.get(cell.id), Float32Array.from(cell.ring.slice(0, -1).flat())]));
    [this.x, this.y, this.area, this.id] = ["centroid_x_px", "centroid_y_px", "area_px", "id"].map((name) => this.column(name).values);
    for (const name of ["shown", "deleted", "marked"]) this[name] = new Uint8Array(this.n);
    this.shown.fill(1);
    this.n_shown = this.n;
    this.edits = JSON.stringify(edited.map((cell) => [cell.id, cell.ring]));
    if (this.kinds) this.setKinds(this.kinds);
  }

  // Columns that come later than the others: the kind of each cell and how probable it is.
  setKinds(kinds) {
    this.kinds = kinds;
    const ids = kinds.column("id").values;
    for (const given of kinds.columns.filter((column) => column.name !== "id")) {
      const values = new Float32Array(this.n).fill(given.kind === "category" ? -1 : NaN);
      given.values.forEach((value, place) => this.row_of.has(ids[place]) && (values[this.row_of.get(ids[place])] = value));
      const column = this.by_name.get(given.name) ?? Object.assign(new Column(given, values), { is_extra: true });
      Object.assign(column, { categories: given.categories, values, known_order: null });
      if (!this.by_name.has(given.name)) this.columns.push(column);
      this.by_name.set(given.name, column);
    }
    this.version++;
  }

  column(name) {
    return this.by_name.get(name);
  }

  // Whether a cell counts: the filters let it through, and no expert called it none.
  isThere(row) {
    return this.shown[row] && !this.deleted[row];
  }

  measures() {
    return this.columns.filter((column) => column.kind === "number" && column.name !== "id");
  }

  // Show the cells that every filter lets through; a filter is { name, low, high } or { name, category }.
  filter(filters) {
    this.shown.fill(1);
    for (const wanted of filters) {
      const column = this.column(wanted.name);
      if (!column) continue;
      const category = wanted.category === undefined ? -1 : column.categories.indexOf(wanted.category);
      for (let row = 0; row < this.n; row++) {
        const value = column.values[row];
        const is_in = category >= 0 ? value === category : value >= (wanted.low ?? -Infinity) && value <= (wanted.high ?? Infinity);
        if (!is_in) this.shown[row] = 0;
      }
    }
    this.n_shown = this.shown.reduce((sum, one) => sum + one, 0);
    this.version++;
  }

  // What experts say now; filters and colors are due after it.
  correct(corrections) {
    const is_other = JSON.stringify(corrections.edited.map((cell) => [cell.id, cell.ring])) !== this.edits;
    if (is_other) this.resize(corrections.edited);
    this.deleted.fill(0);
    this.marked.fill(0);
    for (const id of corrections.deleted) if (this.row_of.has(id)) this.deleted[this.row_of.get(id)] = 1;
    this.n_deleted = corrections.deleted.length;
    for (const id of corrections.marked) if (this.row_of.has(id)) this.marked[this.row_of.get(id)] = 1;
    this.version++;
  }
}
