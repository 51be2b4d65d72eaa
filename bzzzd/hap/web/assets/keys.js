// Keys of the page, as a table: what is here is what the help shows. They are quiet while something is typed, leave
// the browser's own combinations alone, and can be switched off (WCAG 2.1.4).

const PLACE = "bzzz-keys";

export const on = () => localStorage.getItem(PLACE) !== "off";
export const turn = (wanted) => localStorage.setItem(PLACE, wanted ? "on" : "off");

/** Keys of everywhere but the views' digits: key, what it does. The first that finds something to do wins. */
export const KEYS = [
  ["n", "write a new task"],
  ["/", "filter the list"],
  ["j", "next row of the list"],
  ["k", "row before"],
  ["c", "cancel the opened task"],
  ["r", "retry the opened task"],
  ["[", "earlier version"],
  ["]", "later version"],
  ["u", "take back a cancel or retry while it waits"],
  ["Escape", "back to the list"],
  ["?", "this help"],
];

const BUTTONS = { c: "cancel", r: "retry", "[": "earlier", "]": "later" };

export function listen({ views, go, back, undo }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const typing = event.target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      else back();
      return;
    }
    if (typing || !on()) return;
    if (run(event.key)) event.preventDefault();
  });

  function run(key) {
    const view = views.find((one) => one.key === key);
    if (view) {
      go(view.href);
      return true;
    }
    switch (key) {
      case "n": go("#/new"); return true;
      case "?": go("#/help"); return true;
      case "/": return focus(document.getElementById("filter"));
      case "j": return step(1);
      case "k": return step(-1);
      case "u": undo(); return true;
    }
    const button = document.getElementById(BUTTONS[key] ?? "");
    if (!button || button.hidden || button.disabled) return false;
    button.click();
    return true;
  }
}

function focus(node) {
  node?.focus();
  return Boolean(node);
}

/** The next or previous row's link. */
function step(by) {
  const links = [...document.querySelectorAll("main .rows a.title")];
  if (!links.length) return false;
  const at = links.indexOf(document.activeElement);
  return focus(links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))]);
}
