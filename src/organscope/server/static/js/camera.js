// Where in the image the eye is: a center in pixels of the image, and how many screen pixels one of them takes.
const MAX_SCALE = 24;

export class Camera {
  constructor(width_px, height_px) {
    Object.assign(this, { width_px, height_px, x: width_px / 2, y: height_px / 2, scale: 1, view_width: 1, view_height: 1 });
  }

  resize(width, height) {
    const was_fit = this.is_fit;
    this.view_width = width;
    this.view_height = height;
    if (was_fit) this.fit();
  }

  get fit_scale() {
    return Math.min(this.view_width / this.width_px, this.view_height / this.height_px) * 0.97;
  }

  fit() {
    const scale = this.fit_scale;
    Object.assign(this, { x: this.width_px / 2, y: this.height_px / 2, scale });
    this.is_fit = true;
  }

  // Zoom with the point of the image under (left, top) staying where it is.
  zoom(factor, left = this.view_width / 2, top = this.view_height / 2) {
    const [x, y] = this.toImage(left, top);
    this.scale = Math.min(Math.max(this.scale * factor, this.fit_scale * 0.5), Math.max(MAX_SCALE, this.fit_scale));
    this.x = x - (left - this.view_width / 2) / this.scale;
    this.y = y - (top - this.view_height / 2) / this.scale;
    this.keepInside();
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.keepInside();
  }

  goTo(x, y, scale = this.scale) {
    Object.assign(this, { x, y, scale });
    this.keepInside();
  }

  keepInside() {
    this.is_fit = false;
    this.x = Math.min(Math.max(this.x, 0), this.width_px);
    this.y = Math.min(Math.max(this.y, 0), this.height_px);
  }

  toImage(left, top) {
    return [this.x + (left - this.view_width / 2) / this.scale, this.y + (top - this.view_height / 2) / this.scale];
  }

  toView(x, y) {
    return [(x - this.x) * this.scale + this.view_width / 2, (y - this.y) * this.scale + this.view_height / 2];
  }

  // The part of the image that is seen: left, top, right, bottom in its pixels.
  bounds() {
    const [left, top] = this.toImage(0, 0);
    const [right, bottom] = this.toImage(this.view_width, this.view_height);
    return [Math.max(0, left), Math.max(0, top), Math.min(this.width_px, right), Math.min(this.height_px, bottom)];
  }
}
