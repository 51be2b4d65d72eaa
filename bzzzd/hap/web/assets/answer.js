// Answering, in two steps: choose or write, then confirm. The first step moves the focus to a heading and not to the
// button that sends, so that a key pressed twice sends nothing.

import { el, fill, say, show } from "./dom.js";

const DEAD_MS = 700;
const SETTLED = [["executed", "It was done"], ["failed", "It was not done"]];

export function answerForm({ act }, id) {
  const wait = el("p", { role: "status" });
  const inputs = el("div");
  const buttons = el("div", { class: "tools" });
  const fault = el("p", { role: "alert", class: "bad" });
  const first = el("form", { onsubmit: (event) => event.preventDefault(), novalidate: true }, inputs, buttons);
  const title = el("h3", { tabindex: "-1", id: "confirm-title" });
  const word = el("input", { id: "confirm-word", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const wordLabel = el("label", { for: "confirm-word" });
  const wordField = el("div", { class: "field" }, wordLabel, word);
  const go = el("button", { type: "submit", class: "primary" }, "Send");
  const stop = el("button", { type: "button", onclick: () => unconfirm(true) }, "Do not send");
  const second = el("form", { onsubmit: submit, "aria-labelledby": "confirm-title", novalidate: true }, title, wordField, el("div", { class: "tools" }, go, stop));
  const root = el("section", { "aria-labelledby": "answer-title" }, el("h2", { id: "answer-title" }, "Your answer"), wait, first, second, fault);
  let shape = "";
  let now = null; // what the page shows
  let chosen = null; // what waits to be confirmed
  let since = 0;
  let busy = false;
  show(second, false);
  show(fault, false);

  /** Build the fields once for a text; they are not touched while the person writes. */
  function build(asked, prompt) {
    const wanted = `${asked.digest} ${prompt.state === "unknown"}`;
    if (shape === wanted) return;
    shape = wanted;
    unconfirm(false);
    const kind = prompt.state === "unknown" ? "settle" : asked.kind;
    const made = { approve: [], settle: radios(SETTLED, "What became of it?"), choose: radios(asked.choices.map((one) => [one.id, one.text]), "Choose one"), text: [written()], form: asked.form.map(formField) }[kind] ?? [];
    fill(inputs, made);
    const main = { approve: "Approve", choose: "Choose", text: "Answer", form: "Answer", settle: "Say so" }[kind] ?? "Answer";
    fill(buttons, el("button", { type: "button", "data-step": "yes", onclick: () => confirm(kind) }, `${main}…`),
      kind === "settle" ? null : el("button", { type: "button", "data-step": "no", onclick: () => confirm("deny") }, "Deny…"));
  }

  /** The values as they are now; throws with what is missing. */
  function values(kind) {
    if (kind === "deny") return { action: "deny", args: {}, words: "deny" };
    if (kind === "approve") return { action: "answer", args: { choice: "approve" }, words: "approve" };
    if (kind === "choose" || kind === "settle") {
      const found = inputs.querySelector("input:checked");
      if (!found) throw new Error("Choose one first.");
      return { action: "answer", args: { choice: found.value }, words: found.value };
    }
    if (kind === "text") {
      const text = inputs.querySelector("textarea").value;
      if (!text.trim()) throw new Error("Write something first, or deny.");
      return { action: "answer", args: { text }, words: "what you wrote" };
    }
    const fields = {};
    for (const field of inputs.querySelectorAll("[name]")) {
      if (field.required && !field.value.trim()) throw new Error(`${field.labels[0].textContent} is needed.`);
      fields[field.name] = field.value;
    }
    return { action: "answer", args: { fields }, words: "what you filled in" };
  }

  function confirm(kind) {
    if (!now?.ready) {
      refuse("A moment: read it first.");
      return;
    }
    try {
      chosen = values(kind);
    } catch (error) {
      refuse(error.message);
      return;
    }
    show(fault, false);
    chosen.digest = now.digest;
    const weighty = now.asked.risk === "high" && kind !== "deny" && kind !== "settle";
    chosen.word = weighty ? wordOf(now.asked) : "";
    say(title, `Send to ${now.prompt.by}: ${chosen.words}?`);
    say(wordLabel, `This is of high risk. Type ${chosen.word} to confirm`);
    show(wordField, weighty);
    word.value = "";
    show(first, false);
    show(second, true);
    since = performance.now();
    enable();
    setTimeout(enable, DEAD_MS + 20);
    title.focus();
  }

  function unconfirm(focus) {
    chosen = null;
    show(second, false);
    show(first, true);
    if (focus) buttons.querySelector("button")?.focus();
  }

  async function submit(event) {
    event.preventDefault();
    if (busy || !chosen || performance.now() - since < DEAD_MS) return;
    if (!now?.ready || now.digest !== chosen.digest) {
      refuse("The question has changed; read it anew.");
      return;
    }
    if (chosen.word && word.value.trim() !== chosen.word) {
      refuse(`That is not the word. Type ${chosen.word}, or do not send.`);
      word.focus();
      return;
    }
    busy = true;
    show(fault, false);
    try {
      const args = { ...chosen.args, prompt: id, digest: chosen.digest };
      if (chosen.word) args.word = word.value.trim();
      const answer = await act(chosen.action, args);
      if (answer.commands.length + answer.waits.length > 0) unconfirm(false);
      else refuse(`Not sent: ${answer.notice || "it was not taken"}.`);
    } catch (error) {
      refuse(`Not sent: ${error.message}.`);
    } finally {
      busy = false;
    }
  }

  /** What takes no key yet says so, and stays where the focus can reach it. */
  function enable() {
    const rested = performance.now() - since >= DEAD_MS;
    for (const button of [...buttons.children, go]) {
      if (now?.ready && (button !== go || rested)) button.removeAttribute("aria-disabled");
      else button.setAttribute("aria-disabled", "true");
    }
  }

  function refuse(told) {
    say(fault, told);
    show(fault, true);
  }

  return {
    root,
    restart() {
      shape = "";
      unconfirm(false);
    },
    draw(given) {
      now = given;
      show(root, given.takes);
      if (!given.takes) return;
      build(given.asked, given.prompt);
      say(wait, given.ready ? "" : "Read it first; answers are taken in a moment.");
      enable();
    },
  };
}

/** The word for what is of high risk: the name of what would be done. The portal asks for the same. */
const wordOf = (asked) => (asked.op.length >= 3 ? asked.op : "approve");

function radios(pairs, legend) {
  return [el("fieldset", {}, el("legend", {}, legend), pairs.map(([value, text], number) =>
    el("p", {}, el("input", { type: "radio", name: "choice", id: `choice-${number}`, value }), " ",
      el("label", { for: `choice-${number}` }, text || value))))];
}

function written() {
  return el("div", { class: "field" }, el("label", { for: "answer-text" }, "Text"),
    el("textarea", { id: "answer-text", rows: "5", maxlength: "100000" }));
}

function formField(field) {
  const id = `field-${field.name}`;
  const common = { id, name: field.name, required: field.required, autocomplete: "off", maxlength: "100000", "aria-describedby": field.help ? `${id}-help` : null };
  const input = field.kind === "choice"
    ? el("select", { ...common, maxlength: null }, field.required ? null : el("option", { value: "" }, "–"), field.choices.map((one) => el("option", { value: one }, one)))
    : field.kind === "lines" ? el("textarea", { ...common, rows: "4" })
      : el("input", { ...common, inputmode: field.kind === "number" ? "decimal" : null });
  return el("div", { class: "field" }, el("label", { for: id }, field.label || field.name), input,
    field.help ? el("p", { class: "hint", id: `${id}-help` }, field.help) : null);
}
