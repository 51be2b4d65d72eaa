// Help: every key, from the same table that answers them.

import { el } from "./dom.js";
import { KEYS, on, turn } from "./keys.js";

export function open({ views }) {
  const rows = [...views.map((view) => [view.key, `go to ${view.name}`]), ...KEYS];
  const box = el("input", { type: "checkbox", id: "keys-on", onchange: () => turn(box.checked) });
  box.checked = on();
  const root = el("div", {},
    el("p", {}, "Everything can be done with the Tab, Enter and Space keys. These keys are shorter; they do nothing while you type."),
    el("p", {}, box, " ", el("label", { for: "keys-on" }, "Single keys are switched on")),
    el("table", {}, el("caption", {}, "Keys"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Key"), el("th", { scope: "col" }, "What it does"))),
      el("tbody", {}, rows.map(([key, help]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, help))))),
    el("h2", {}, "What this is"),
    el("p", {}, "This page is your portal to the mesh, the same as bzzz-hap in a terminal. It comes from your own machine, ",
      "and what you send is signed there with your key. Sign out when others use this browser."));
  return { title: "Help and keys", root, draw: () => {} };
}
