// What the expert says of an image, one thing after the other. While the server is away it waits here, also over a
// reload, and is sent when the server is back: no correction is lost.
import { post } from "./api.js";
import { toast } from "./dom.js";

const AGAIN_MS = 2000;

export class Corrections {
  constructor(image, on_answer) {
    Object.assign(this, { image, on_answer, key: `waiting-${image}`, is_sending: false });
    this.waiting = JSON.parse(localStorage.getItem(this.key) ?? "[]");
    if (this.waiting.length) this.send();
  }

  // Say something; `words` are shown once the server has noted it.
  say(path, body, words = "") {
    return new Promise((done) => {
      this.waiting.push({ path, body, words, done });
      this.keep();
      this.send();
    });
  }

  undo() {
    return this.say("undo", undefined, "Undone.");
  }

  redo() {
    return this.say("redo", undefined, "Done again.");
  }

  keep() {
    if (this.waiting.length) localStorage.setItem(this.key, JSON.stringify(this.waiting));
    else localStorage.removeItem(this.key);
  }

  async send() {
    if (this.is_sending) return;
    this.is_sending = true;
    while (this.waiting.length) {
      const { path, body, words, done } = this.waiting[0];
      let answer = null;
      try {
        answer = await post(`/api/images/${this.image}/${path}`, body);
        this.on_answer(answer);
        if (words) toast(words);
      } catch (error) {
        if (error.is_away) {
          await new Promise((done) => setTimeout(done, AGAIN_MS));
          continue;
        }
        toast(error.message, true);
      }
      this.waiting.shift();
      this.keep();
      done?.(answer);
    }
    this.is_sending = false;
  }
}
