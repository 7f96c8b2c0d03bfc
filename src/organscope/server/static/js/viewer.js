// The image on a canvas: layers, and what mouse, fingers and keys do to it.
import { Camera } from "./camera.js";
import { OutlineLayer } from "./outline_layer.js";
import { TileLayer } from "./tile_layer.js";

const CLICK_PX = 4;
const WHEEL_STEP = 0.0016;
const KEY_STEP_PX = 90;

export class Viewer {
  constructor(canvas, details, on_move, on_pick) {
    Object.assign(this, { canvas, on_move, on_pick, tool: null, stroke: [], evidence: null, overlays: [], evidence_strength: 0.7, pointers: new Map(), is_due: false });
    this.camera = new Camera(details.image.width_px, details.image.height_px);
    this.camera.is_fit = true;
    // Where the eye is, for whoever looks at the page from outside.
    canvas.camera = this.camera;
    const redraw = () => this.redraw();
    this.tiles = new TileLayer(details.image.id, details.tile_px, details.highest_power, redraw);
    this.outlines = new OutlineLayer(details.image.id, redraw);
    this.tiles_shown = details.image.is_shown;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.listen();
  }

  resize() {
    this.density = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * this.density);
    this.canvas.height = Math.round(clientHeight * this.density);
    this.camera.resize(clientWidth, clientHeight);
    this.redraw();
  }

  redraw() {
    if (this.is_due) return;
    this.is_due = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.is_due = false;
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    if (this.tiles_shown) this.tiles.draw(context, this.camera, this.density);
    if (this.evidence) this.drawEvidence(context);
    context.setLineDash([]);
    this.outlines.draw(context, this.camera, this.density);
    for (const paint of this.overlays) paint(context, this.camera);
    if (this.stroke.length) this.drawStroke(context);
    this.on_move(this.camera);
  }

  // What is being drawn: the outline of a new cell, the way of a brush, or a line.
  drawStroke(context) {
    const width = this.tool.is_brush ? 2 * this.tool.radius_px * this.camera.scale : 2;
    context.lineJoin = context.lineCap = "round";
    for (const [colour, more] of this.tool.is_brush ? [[this.tool.colour, 0]] : [["rgba(0,0,0,.75)", 3], [this.tool.colour, 0]]) {
      context.beginPath();
      for (const [x, y] of this.stroke) context.lineTo(...this.camera.toView(x, y));
      if (this.stroke.length === 1) context.lineTo(...this.camera.toView(...this.stroke[0]));
      if (this.tool.is_closed) context.closePath();
      context.lineWidth = width + more;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  drawEvidence(context) {
    const [left, top] = this.camera.toView(0, 0);
    const [right, bottom] = this.camera.toView(this.camera.width_px, this.camera.height_px);
    context.globalAlpha = this.evidence_strength;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.evidence, left, top, right - left, bottom - top);
    context.globalAlpha = 1;
  }

  select(row) {
    this.outlines.selected = row;
    this.redraw();
  }

  // Bring a cell into sight, and near enough to be told from others.
  showCell(row) {
    const { cells, diameter_px } = this.outlines;
    const { camera } = this;
    const [left, top] = camera.toView(cells.x[row], cells.y[row]);
    const is_seen = left > 60 && top > 70 && left < camera.view_width - 60 && top < camera.view_height - 60;
    if (is_seen && diameter_px * camera.scale >= 14) return this.redraw();
    camera.goTo(cells.x[row], cells.y[row], Math.max(camera.scale, 26 / diameter_px));
    return this.redraw();
  }

  zoom(factor, left, top) {
    this.camera.zoom(factor, left, top);
    this.redraw();
  }

  fit() {
    this.camera.fit();
    this.redraw();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const step = event.deltaMode === 1 ? 18 * event.deltaY : event.deltaY;
      this.zoom(Math.exp(-step * WHEEL_STEP * (event.ctrlKey ? 5 : 1)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.release(event));
    canvas.addEventListener("dblclick", (event) => this.tool || this.zoom(2, event.offsetX, event.offsetY));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.pressed = [event.offsetX, event.offsetY];
    this.has_moved = this.pointers.size > 1;
    // A second finger moves the image, also while a tool is chosen.
    this.stroke = this.tool && this.pointers.size === 1 && event.button === 0 ? [this.camera.toImage(event.offsetX, event.offsetY)] : [];
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(event);
    const now = [event.offsetX, event.offsetY];
    if (this.stroke.length) {
      this.stroke.push(this.camera.toImage(...now));
      this.has_moved = true;
      this.redraw();
    } else if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    else if (this.has_moved || Math.hypot(now[0] - this.pressed[0], now[1] - this.pressed[1]) > CLICK_PX) {
      this.has_moved = true;
      this.canvas.classList.add("dragging");
      this.camera.pan(now[0] - before[0], now[1] - before[1]);
      this.redraw();
    } else return undefined;
    this.pointers.set(event.pointerId, now);
    return undefined;
  }

  hover(event) {
    const [x, y] = this.camera.toImage(event.offsetX, event.offsetY);
    this.canvas.classList.toggle("over-cell", this.outlines.is_shown && this.outlines.cellAt(x, y, 0) >= 0);
  }

  pinch(id, before, now) {
    const [, other] = [...this.pointers].find(([key]) => key !== id);
    const spread = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
    this.camera.zoom(spread(now) / Math.max(spread(before), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    this.camera.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.redraw();
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    this.canvas.classList.remove("dragging");
    if (this.stroke.length) {
      const points = this.stroke;
      this.stroke = [];
      this.redraw();
      if (event.type === "pointerup") this.tool.finish(points);
      return;
    }
    if (this.has_moved || event.type === "pointercancel" || this.pointers.size) return;
    const [x, y] = this.camera.toImage(event.offsetX, event.offsetY);
    this.on_pick(this.outlines.cellAt(x, y, 6 / this.camera.scale));
  }

  key(event) {
    const steps = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (steps[event.key]) this.camera.pan(...steps[event.key].map((step) => step * KEY_STEP_PX));
    else if (event.key === "+" || event.key === "=") this.camera.zoom(1.4);
    else if (event.key === "-") this.camera.zoom(1 / 1.4);
    else if (event.key === "0") this.camera.fit();
    else if (event.key === "Escape") this.on_pick(-1);
    else return;
    event.preventDefault();
    this.redraw();
  }
}
