// What stands around every view: navigation, status line, banner, notices.

import { el, fill, keyed, say, show } from "./dom.js";
import { ago } from "./words.js";

const NOTICE_MS = 10_000;
const KEPT_NOTICES = 4;
const place = (id) => document.getElementById(id);
const heading = el("h1", { tabindex: "-1" });
const undo = el("button", { type: "button", id: "undo" }, "Undo");

export function begin(handlers) {
  undo.addEventListener("click", handlers.undo);
  place("leave").addEventListener("click", handlers.leave);
  place("skip").addEventListener("click", (event) => {
    event.preventDefault();
    heading.focus();
  });
  show(undo, false);
  place("notices").append(undo);
}

export function signedIn(views) {
  show(place("leave"), true);
  keyed(place("views"), views, (view) => view.name,
    (view) => el("li", {}, el("a", { href: view.href }, el("span", { class: "key", "aria-hidden": "true" }, view.key), " ",
      el("span", {}, capital(view.name)), el("span", { class: "badge" }))),
    () => {});
}

export function signedOut(page) {
  show(place("leave"), false);
  fill(place("views"));
  say(place("status"), "");
  say(place("who"), "");
  banner("");
  put(page);
  document.title = `${page.title} – BZZZ portal`;
}

/** A number beside a view's name, read as `3 need you`. */
export function badge(name, count, words) {
  const node = place("views").querySelector(`[data-key="${name}"] .badge`);
  if (node) say(node, count ? `${count} ${words}` : "");
}

export function current(views, name) {
  for (const link of place("views").querySelectorAll("a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Show another page, and take the focus there. */
export function put(page) {
  say(heading, page.title);
  fill(place("main"), heading, page.root);
  window.scrollTo(0, 0);
  (page.focus ?? (() => heading.focus({ preventScroll: true })))();
}

export function title(text, state) {
  say(heading, text);
  const lost = state.portal.state === "off" || state.link.state === "offline" ? "(offline) " : "";
  const wanted = `${lost}${text} – BZZZ portal`;
  if (document.title !== wanted) document.title = wanted;
}

export function draw(state) {
  const { link, me, status, portal } = state;
  const now = Date.now() / 1000;
  const who = me.kind === "guest" ? "guest" : `${me.id}, role ${me.role || me.kind}`;
  const tasks = [...state.tasks.values()];
  const working = tasks.filter((task) => task.state === "working").length;
  const parts = [
    portal.state === "on" && link.state === "online" ? "● online" : "○ offline",
    state.needs.length ? `${state.needs.length} need you` : "",
    who, status.node_id, status.durability && `durability ${status.durability}`,
    `${tasks.length} tasks, ${working} working`, link.seen ? `heard ${ago(link.seen, now)}` : "",
  ];
  say(place("status"), parts.filter(Boolean).join(" · "));
  say(place("who"), me.kind === "guest" ? "You are a guest." : `You are ${me.id}.`);
  banner(trouble(state, now));
  show(undo, state.pending.length > 0 || state.receptions.some((one) => one.state === "waiting"));
  badge("inbox", state.needs.length, state.needs.length === 1 ? "needs you" : "need you");
  badge("threads", [...state.threads.values()].filter((one) => one.for_me && one.state !== "closed").length, "for you");
}

function trouble({ link, me, portal, status }, now) {
  if (portal.state === "off") return `The portal is away: ${portal.why}. It is tried again by itself; what you see is what was seen last.`;
  if (link.state === "offline") {
    const seen = link.seen ? ` Shown is what was seen ${ago(link.seen, now)}, up to number ${link.number}.` : "";
    return `bzzzd is away: ${link.why}.${seen} The portal comes back by itself.`;
  }
  if (me.mend) return `You work as a guest: ${me.mend}`;
  const keeper = status.coordinator ? ` at ${status.coordinator}` : "";
  return status.ledger_away ? `The ledger${keeper} does not answer: what you send waits on this node until it does.` : "";
}

function banner(text) {
  const node = place("banner");
  say(node, text);
  show(node, text !== "");
}

/** One line that tells what has just happened; read out, and gone after some seconds. */
export function notice(text, level) {
  const mark = { ok: "✓ ", warn: "▲ ", bad: "✗ " }[level] ?? "";
  const line = el("p", { class: `notice ${level}` }, mark, text);
  const area = place("notices");
  area.insertBefore(line, undo);
  const lines = area.querySelectorAll(".notice");
  for (const old of [...lines].slice(0, -KEPT_NOTICES)) old.remove();
  setTimeout(() => line.remove(), level === "bad" ? 3 * NOTICE_MS : NOTICE_MS);
}

export const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
