// The context browser: addresses, and one address with its versions, its provenance, and two versions side by side.

import * as door from "./door.js";
import { changes } from "./compare.js";
import { el, facts, keyed, say, show } from "./dom.js";
import { linkRow, list } from "./list.js";
import { textPart } from "./task.js";
import { ago, clock, plural, size, when } from "./words.js";

const hrefOf = (address) => `#/context/${encodeURIComponent(address)}`;
const at = (address, number) => address.replace(/\/\*\^(\/|$)/, `/*~${number}$1`);

export function open() {
  const { root, draw } = list({
    name: "addresses",
    word: "address",
    empty: "Nothing is kept yet, or nothing that you may read.",
    rows: (state) => [...state.entries.values()].sort((a, b) => (a.address < b.address ? -1 : 1)),
    key: (entry) => entry.address,
    text: (entry) => [entry.address, entry.author, entry.content_type].join(" "),
    make: () => {
      const row = linkRow((entry) => hrefOf(entry.address));
      return {
        node: row.node,
        update(entry) {
          const state = entry.conflict ? { mark: "▲", tone: "warn", word: "conflict" } : { mark: "●", tone: "ok", word: plural(entry.versions, "version") };
          row.fill(entry, state, entry.address, [
            entry.author && `by ${entry.author}`, size(entry.size), entry.at && ago(entry.at, Date.now() / 1000),
          ]);
        },
      };
    },
  });
  return { title: "Context", root, draw, enters: "context" };
}

export function one({ perform, go, say: tell }, address) {
  const which = el("p", { role: "status" });
  const button = (id, label, action) => el("button", { type: "button", id, onclick: () => act(action) }, label);
  const earlier = button("earlier", "Earlier version", "earlier");
  const later = button("later", "Later version", "later");
  const compare = el("button", { type: "button", id: "compare", "aria-pressed": "false", onclick: () => act(comparing ? "contents" : "compare") }, "Compare");
  const before = button("compare-earlier", "Compare with the version before", "compare-earlier");
  const after = button("compare-later", "Compare with the version after", "compare-later");
  const save = el("button", { type: "button", id: "save", onclick: download }, "Save");
  const provenance = el("dl", { class: "facts" });
  const holders = button("holders", "Ask who holds it", "provenance");
  const text = textPart("Content", "content");
  const left = side("left");
  const right = side("right");
  const sides = el("section", { "aria-labelledby": "compare-title" }, el("h2", { id: "compare-title" }, "Side by side"),
    el("div", { class: "tools" }, before, after), el("div", { class: "columns" }, left.root, right.root));
  const versions = el("ol", { class: "rows", "aria-label": "Versions", reversed: true });
  const root = el("div", {}, el("div", { class: "tools" }, earlier, later, compare, save, which), sides, text.root,
    el("section", { "aria-labelledby": "facts-title" }, el("h2", { id: "facts-title" }, "Provenance"), provenance, holders),
    el("section", { "aria-labelledby": "versions-title" }, el("h2", { id: "versions-title" }, "Versions"), versions));
  const base = address.replace(/\/(\*~\d+|~~\d+|\^\^\d+)(\/|$)/, "/*^$2");
  let comparing = false;
  let shown = null;

  /** Do something with this page's address, also when another page has opened another one meanwhile. */
  async function act(action) {
    const now = latest?.page;
    if (now?.kind !== "context" || now?.id !== base) await perform("open", { view: "context", row: shown ? at(base, shown.number) : base });
    await perform(action);
  }

  async function download() {
    try {
      const { path, name } = await door.call("save", { address: shown ? at(base, shown.number) : base });
      const link = el("a", { href: path, download: name });
      document.body.append(link);
      link.click();
      link.remove();
    } catch (error) {
      tell(error.message, "bad");
    }
  }

  let latest = null;

  function draw(state) {
    latest = state;
    const book = state.books.get(base);
    const page = state.pages.get(`context/${base}`);
    const faults = page?.faults ?? {};
    const editions = book?.editions ?? [];
    const number = book?.number || book?.of || 0;
    shown = editions.find((one) => one.number === number) ?? null;
    const otherNumber = book?.other || (number > 1 ? number - 1 : number + 1);
    const other = editions.find((one) => one.number === otherNumber) ?? null;
    const why = faults.history ?? Object.entries(faults).find(([name]) => name.startsWith("version"))?.[1];
    earlier.disabled = number <= 1;
    later.disabled = !book || number >= book.of;
    compare.disabled = editions.length < 2;
    save.disabled = !shown;
    comparing = page?.tab === "compare" && other !== null;
    compare.setAttribute("aria-pressed", String(comparing));
    const heads = editions.filter((one) => one.head).length;
    const conflict = heads > 1 ? "; two wrote at once, and both versions are kept" : "";
    say(which, book ? `version ${number} of ${book.of}${shown ? ` by ${shown.author}, ${clock(shown.at)}` : ""}${conflict}` : "");
    show(text.root, !comparing);
    show(sides, comparing);
    const content = shown ? book.texts[shown.id] : "";
    text.draw(content, why);
    if (comparing) drawSides(shown, other, content ?? "", book.texts[other.id] ?? "");
    drawFacts(shown);
    keyed(versions, [...editions].reverse(), (one) => String(one.number), () => {
      const row = linkRow((one) => hrefOf(at(base, one.number)));
      return Object.assign(el("li", {}, row.node), { row });
    }, (node, one) => {
      const mark = one.number === number ? { mark: "●", tone: "accent", word: "shown" } : { mark: "○", tone: "dim", word: "version" };
      node.row.fill(one, mark, `Version ${one.number}${one.head ? ", latest" : ""}`, [`by ${one.author}`, when(one.at, Date.now() / 1000), size(one.size)]);
    });
    return { title: `Context: ${base}` };
  }

  function drawFacts(one) {
    show(provenance.parentNode, one !== null);
    show(holders, one !== null && one.holders === null);
    if (!one) return;
    facts(provenance, [
      ["version id", one.id], ["author", one.author], ["written", clock(one.at)], ["size", size(one.size)],
      ["type", one.content_type], ["readers", one.readers.join(", ")], ["epoch", one.epoch],
      ["follows", one.parents.join(", ")], ["held by", one.holders === null ? "" : one.holders.join(", ") || "nobody that answered"],
    ]);
  }

  function drawSides(now, then, nowText, thenText) {
    // What is only in the older one is marked there, what is only in the newer one here.
    const [older, newer] = then.number < now.number ? [then, now] : [now, then];
    const [olderText, newerText] = older === then ? [thenText, nowText] : [nowText, thenText];
    const [gone, come] = changes(olderText.split("\n"), newerText.split("\n"));
    left.draw(`Version ${older.number}`, olderText, gone, "del");
    right.draw(`Version ${newer.number}`, newerText, come, "add");
  }

  return {
    title: "Context", root, draw, back: () => go("#/context"),
    opens: () => ({ kind: "context", id: base, asked: address, action: "open", args: { view: "context", row: address } }),
  };
}

/** One of two versions; a changed line has a sign before it, not only a colour. */
function side(id) {
  const title = el("h3", { id: `${id}-title` });
  const text = el("div", { class: "text", tabindex: "0", role: "region", "aria-labelledby": `${id}-title` });
  let drawn = "";
  return {
    root: el("div", {}, title, text),
    draw(name, content, marked, tone) {
      say(title, name);
      const wanted = `${content}\u0000${[...marked].join()}`;
      if (drawn === wanted) return;
      drawn = wanted;
      text.replaceChildren(...content.split("\n").map((line, number) =>
        el("div", { class: marked.has(number) ? tone : null }, line || "\u00a0")));
    },
  };
}
