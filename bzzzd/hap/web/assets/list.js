// A list of rows that can be filtered and walked through with j and k.

import { el, keyed, say } from "./dom.js";
import { plural } from "./words.js";

const SHOWN = 300;
const kept = new Map(); // the filter of each list, while the page lives

/**
 * `name` in the plural, `word` of one row. `rows(state)` gives the items in order, `text(item)` what the filter looks
 * through, `key(item)` their id, `make()` a row's content as {node, update(item, state)}.
 */
export function list({ name, word, rows, text, key, make, actions = [], empty = "none" }) {
  const count = el("p", { class: "count" });
  const items = el("ul", { class: "rows", "aria-label": name });
  const filter = el("input", {
    type: "search", id: "filter", "aria-label": `Filter ${name}`, placeholder: "Filter", autocomplete: "off",
    spellcheck: "false", maxlength: "200",
    oninput: () => {
      kept.set(name, filter.value);
      draw(last);
    },
    onkeydown: (event) => {
      if (event.key !== "Escape" || !filter.value) return;
      event.stopPropagation();
      filter.value = "";
      filter.dispatchEvent(new Event("input"));
    },
  });
  filter.value = kept.get(name) ?? "";
  const parts = new WeakMap();
  let last = null;

  function draw(state) {
    if (!state) return;
    last = state;
    const all = rows(state);
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const passing = words.length
      ? all.filter((item) => { const hay = text(item).toLowerCase(); return words.every((one) => hay.includes(one)); })
      : all;
    keyed(items, passing.slice(0, SHOWN), key,
      (item) => {
        const part = make(item);
        const row = el("li", {}, part.node);
        parts.set(row, part);
        return row;
      },
      (row, item) => parts.get(row).update(item, state));
    const hidden = passing.length > SHOWN ? `, the first ${SHOWN} are shown` : "";
    const of = words.length ? ` of ${all.length}` : "";
    say(count, all.length ? `${passing.length}${of} ${all.length === 1 ? word : name}${hidden}` : empty);
  }

  const tools = el("div", { class: "tools" }, filter, actions);
  return { root: el("div", {}, tools, count, items), draw };
}

/** A state's sign and word; the word tells it without sign or colour. */
export function stateMark() {
  const mark = el("span", { "aria-hidden": "true" });
  const word = el("span");
  const node = el("span", { class: "state" }, mark, " ", word);
  return {
    node,
    update(sign) {
      say(mark, sign.mark);
      say(word, sign.word);
      node.className = `state ${sign.tone}`;
    },
  };
}

/** A row whose title is a link, with a state before it and small facts after it. */
export function linkRow(hrefOf) {
  const state = stateMark();
  const title = el("a", { class: "title" });
  const more = el("span", { class: "more" });
  return {
    node: el("div", { class: "row" }, state.node, title, more),
    fill(item, sign, text, details) {
      state.update(sign);
      const href = hrefOf(item);
      if (title.getAttribute("href") !== href) title.setAttribute("href", href);
      say(title, text);
      say(more, details.filter(Boolean).join(" · "));
    },
  };
}

export { plural };
