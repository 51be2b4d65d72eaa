// What is shown to a browser that was not let in.

import { el } from "./dom.js";

export function open(why) {
  const root = el("div", {},
    why ? el("p", { role: "alert", class: "bad" }, `✗ ${why}`) : null,
    el("p", {}, "This browser is not signed in. Each address that the portal gives lets one browser in, once."),
    el("p", {}, "On the machine where the portal runs, as the person it belongs to, read the newest address and open it here:"),
    el("pre", { class: "text", tabindex: "0", "aria-label": "Command" }, "cat ~/.local/state/bzzz/portal/web-url"),
    el("p", {}, "Where the portal's state folder is another one, it is portal/web-url in that folder."));
  return { title: "Sign in", root };
}
