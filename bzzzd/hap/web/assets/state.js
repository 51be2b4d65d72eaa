// What the portal has told, as one value that the pages draw from. Lines are those of docs/portal.md, "JSON lines".

import { Stream } from "./stream.js";

function empty() {
  return {
    link: { state: "connecting", why: "", number: 0, seen: 0, socket: "" },
    me: { id: "", kind: "guest", role: "", mend: "" },
    status: {},
    tasks: new Map(),
    needs: [],
    prompts: new Map(),
    asked: new Map(),
    receptions: [],
    threads: new Map(),
    spoken: new Map(),
    entries: new Map(),
    books: new Map(),
    agents: [],
    peers: [],
    health: { ok: false, services: [] },
    pages: new Map(),
    pending: [],
    outcomes: new Map(),
    whole: false,
  };
}

const KEPT_OUTCOMES = 64;

/** `state` is current; `draw` is called once a frame after changes; `noticed(line)` for each notice. */
export class Store {
  constructor({ draw, noticed, out }) {
    this.state = empty();
    this.state.portal = { state: "connecting", why: "" };
    this.draw = draw;
    this.noticed = noticed;
    this.coming = null;
    this.drawing = false;
    this.waiting = new Map();
    this.stream = new Stream(
      (name, data) => this.hear(name, data),
      (state, why) => {
        if (state === "out") out();
        if (this.state.portal.state === state && this.state.portal.why === why) return;
        this.state.portal = { state, why };
        this.soon();
      },
    );
  }

  /** Follow the portal from the beginning, as whoever is signed in now. */
  restart() {
    this.stream.stop();
    this.stream = new Stream(this.stream.tell, this.stream.changed);
    this.stream.start();
  }

  hear(name, line) {
    if (name === "reset") this.coming = empty();
    else if (name === "whole") {
      const { portal, outcomes } = this.state;
      this.state = { ...this.coming, portal, outcomes, whole: true };
      this.coming = null;
    } else this.apply(this.coming ?? this.state, line);
    if (!this.coming) this.soon();
  }

  apply(state, line) {
    const handler = HANDLERS[line.type];
    if (handler) handler(state, line);
    if (line.type === "notice" && !this.coming) this.noticed(line);
    if (line.type === "outcome") {
      while (state.outcomes.size > KEPT_OUTCOMES) state.outcomes.delete(state.outcomes.keys().next().value);
      this.waiting.get(line.command)?.(line);
    }
  }

  /** The outcome of a command, when it comes. */
  outcome(command) {
    const known = this.state.outcomes.get(command);
    if (known) return Promise.resolve(known);
    return new Promise((done) => {
      this.waiting.set(command, (line) => {
        this.waiting.delete(command);
        done(line);
      });
    });
  }

  /** Draw in the next frame, once for all that has come until then. */
  soon() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.draw(this.state);
    });
  }
}

const HANDLERS = {
  link: (state, { type, ...link }) => { state.link = link; },
  me: (state, { type, ...me }) => { state.me = me; },
  status: (state, line) => { state.status = line.status; },
  task: (state, line) => { state.tasks.set(line.task.id, line.task); },
  gone: (state, line) => { state.tasks.delete(line.id); },
  agents: (state, line) => { state.agents = line.agents; },
  peers: (state, line) => { state.peers = line.peers; },
  health: (state, line) => { state.health = line.health; },
  pending: (state, line) => { state.pending = line.pending; },
  needs: (state, line) => { state.needs = line.needs; },
  prompt: (state, line) => { state.prompts.set(line.prompt.id, line.prompt); },
  question: (state, line) => { state.asked.set(line.question.id, line.question); },
  receipt: (state, line) => {
    const { prompt, state: at } = line.receipt;
    state.receptions = state.receptions.filter((one) => one.prompt !== prompt);
    if (at !== "taken_back") state.receptions.push(line.receipt);
  },
  thread: (state, line) => { state.threads.set(line.thread.id, line.thread); },
  message: (state, line) => {
    if (!state.spoken.has(line.thread)) state.spoken.set(line.thread, new Map());
    state.spoken.get(line.thread).set(line.message.id, line.message);
  },
  entry: (state, line) => { state.entries.set(line.entry.address, line.entry); },
  book: (state, line) => { state.books.set(line.book.address, line.book); },
  page: (state, line) => {
    state.page = line.page;
    const place = `${line.page.kind}/${line.page.id}`;
    state.pages.delete(place);
    state.pages.set(place, line.page);
    while (state.pages.size > 16) state.pages.delete(state.pages.keys().next().value);
  },
  outcome: (state, line) => { state.outcomes.set(line.command, line); },
};
