// Writing a task. What is typed is kept in this browser until the ledger has it.

import { el, say, show } from "./dom.js";

const PLACE = "bzzz-draft-task";
const FIELDS = [
  ["title", "Title", "What is to be done, in one line", 500],
  ["body", "Body", "Everything that whoever does it needs to know", 200_000],
  ["role", "Role", "Empty: any role", 64],
  ["capability", "Capability", "Empty: any", 64],
];

export function open({ send, go }) {
  const draft = read();
  const fields = new Map();
  const parts = FIELDS.map(([name, label, hint, limit]) => {
    const tag = name === "body" ? "textarea" : "input";
    const field = el(tag, {
      id: `task-${name}`, name, maxlength: limit, "aria-describedby": `hint-${name}`, required: name === "title",
      autocomplete: "off", rows: name === "body" ? "8" : null, type: name === "body" ? null : "text", oninput: keep,
    });
    field.value = draft[name] ?? "";
    fields.set(name, field);
    return el("div", { class: "field" }, el("label", { for: field.id }, label), field,
      el("p", { class: "hint", id: `hint-${name}` }, hint));
  });
  const fault = el("p", { role: "alert", class: "bad" });
  const button = el("button", { type: "submit", class: "primary" }, "Send task");
  const discard = el("button", { type: "button", onclick: empty }, "Discard");
  const form = el("form", { onsubmit: submit, novalidate: true }, parts, fault, el("div", { class: "tools" }, button, discard));
  show(fault, false);
  let busy = false;

  function keep() {
    localStorage.setItem(PLACE, JSON.stringify(Object.fromEntries([...fields].map(([name, one]) => [name, one.value]))));
  }

  function empty() {
    for (const field of fields.values()) field.value = "";
    localStorage.removeItem(PLACE);
    fields.get("title").focus();
  }

  function refuse(why) {
    say(fault, why);
    show(fault, true);
    fields.get("title").setAttribute("aria-invalid", String(!fields.get("title").value.trim()));
  }

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    const given = Object.fromEntries([...fields].map(([name, one]) => [name, one.value]).filter(([, value]) => value.trim()));
    if (!given.title) {
      refuse("A task needs a title.");
      fields.get("title").focus();
      return;
    }
    busy = true;
    button.setAttribute("aria-disabled", "true");
    show(fault, false);
    try {
      const outcome = await send("submit", given);
      if (outcome.ok) {
        localStorage.removeItem(PLACE);
        go(outcome.task ? `#/tasks/${encodeURIComponent(outcome.task)}` : "#/tasks");
      } else refuse(`Not sent: ${outcome.message}. What you wrote is kept.`);
    } catch (error) {
      refuse(`Not sent: ${error.message}. What you wrote is kept.`);
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  }

  return { title: "New task", root: form, draw: () => {}, focus: () => fields.get("title").focus(), back: () => go("#/tasks") };
}

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    return typeof found === "object" && found ? found : {};
  } catch {
    return {};
  }
}
