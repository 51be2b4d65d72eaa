// The portal's events: read as they come, and read on from the last place after a break. `fetch` and not
// `EventSource`, because only `fetch` can send the session's key.

import { key } from "./door.js";

const SILENCE_MS = 40_000;
const WAITS_MS = [300, 1000, 2000, 5000, 10_000];

/** `tell(name, data)` gets each event, `changed(state, why)` whether the portal answers: on, off, or out. */
export class Stream {
  constructor(tell, changed) {
    this.tell = tell;
    this.changed = changed;
    this.place = "";
    this.failures = 0;
    this.stopped = false;
  }

  start() {
    this.run();
  }

  stop() {
    this.stopped = true;
    this.abort?.abort();
  }

  /** Try at once, because the machine woke up or the network is back. */
  hurry() {
    this.wake?.();
  }

  async run() {
    while (!this.stopped) {
      try {
        if (!(await this.once())) return;
      } catch (error) {
        if (!this.stopped) this.changed("off", error instanceof TypeError ? "it does not answer" : error.message);
      }
      if (this.stopped) return;
      const wait = WAITS_MS[Math.min(this.failures, WAITS_MS.length - 1)];
      this.failures += 1;
      await new Promise((done) => {
        this.wake = done;
        setTimeout(done, wait * (0.75 + Math.random() / 2));
      });
    }
  }

  /** One connection; gives whether to come back. */
  async once() {
    this.abort = new AbortController();
    const headers = { "X-Bzzz-Key": key() };
    if (this.place) headers["Last-Event-ID"] = this.place;
    const answer = await fetch("/api/events", {
      headers, signal: this.abort.signal, credentials: "same-origin", cache: "no-store",
    });
    if (answer.status === 401) {
      this.changed("out", "");
      return false;
    }
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).message ?? `status ${answer.status}`);
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let held = "";
    for (;;) {
      const timer = setTimeout(() => this.abort.abort(new Error("it has fallen silent")), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) throw new Error("it has ended the stream");
      this.failures = 0;
      const events = (held + decoder.decode(value, { stream: true })).split("\n\n");
      held = events.pop();
      for (const event of events) this.hear(event);
      this.changed("on", "");
    }
  }

  hear(event) {
    let name = "message";
    let data = null;
    for (const line of event.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("id: ")) this.place = line.slice(4);
      else if (line.startsWith("data: ")) data = JSON.parse(line.slice(6));
    }
    if (data !== null) this.tell(name, data);
  }
}
