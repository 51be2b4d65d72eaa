// Conversations: the list of threads, one thread with its messages, and writing on it.

import { el, keyed, say, show } from "./dom.js";
import { linkRow, list } from "./list.js";
import { ago, clock, plural } from "./words.js";

const KINDS = ["question", "answer", "proposal", "agreement", "concern", "objection", "summary", "escalation"];
const BEGINNINGS = ["question", "proposal", "concern", "escalation"];
const REPLIES = {
  proposal: "agreement", question: "answer", answer: "agreement", agreement: "answer", concern: "answer",
  objection: "answer", summary: "question", escalation: "answer",
};
const STATES = {
  open: { mark: "●", tone: "ok", word: "open" }, closing: { mark: "▲", tone: "warn", word: "closing" },
  closed: { mark: "■", tone: "dim", word: "closed" },
};

const name = (thread, state) => thread.subject || state.tasks.get(thread.task)?.title || thread.id;

export function open() {
  const { root, draw } = list({
    name: "threads",
    word: "thread",
    empty: "No threads yet.",
    rows: (state) => [...state.threads.values()].sort((a, b) => b.last_at - a.last_at || (a.id < b.id ? -1 : 1)),
    key: (thread) => thread.id,
    text: (thread) => [thread.id, thread.task, thread.subject, thread.state, thread.last_by, ...thread.participants].join(" "),
    actions: [el("a", { class: "button", href: "#/write" }, "New thread")],
    make: () => {
      const row = linkRow((thread) => `#/threads/${encodeURIComponent(thread.id)}`);
      return {
        node: row.node,
        update(thread, state) {
          row.fill(thread, STATES[thread.state] ?? STATES.open, name(thread, state), [
            thread.for_me && "▲ for you", plural(thread.count, "message"),
            thread.last_by && `${thread.last_kind} by ${thread.last_by}`, thread.last_at && ago(thread.last_at, Date.now() / 1000),
          ]);
        },
      };
    },
  });
  return { title: "Threads", root, draw, enters: "threads" };
}

export function one(context, id) {
  const facts = el("p", { class: "count" });
  const fault = el("p", { class: "bad" });
  const task = el("a", { class: "button", href: `#/tasks/${encodeURIComponent(id)}` }, "Task");
  const messages = el("ol", { class: "messages", "aria-label": "Messages" });
  const writer = write(context, { thread: id });
  const root = el("div", {}, facts, el("div", { class: "tools" }, task), fault, messages,
    el("section", { "aria-labelledby": "write-title" }, el("h2", { id: "write-title" }, "Write"), writer.root));

  function make(said) {
    const head = el("h2");
    const aside = el("p", { class: "warn" });
    const text = el("p");
    const refs = el("p", { class: "refs" });
    const reply = el("button", { type: "button", onclick: () => writer.reply(said.id, said.kind, said.by) }, `Reply to ${said.by}`);
    const node = el("li", { class: "message", id: `message-${said.id}` }, head, aside, text, refs, el("div", { class: "tools" }, reply));
    return Object.assign(node, { parts: { head, aside, text, refs } });
  }

  function fillIn(node, said, state) {
    const { head, aside, text, refs } = node.parts;
    node.classList.toggle("mine", said.by === state.me.id);
    const to = said.to.length ? ` to ${said.to.join(", ")}` : "";
    const standing = said.standing ? ` (${said.standing})` : "";
    const answered = said.reply_to ? `, in reply to ${state.spoken.get(id)?.get(said.reply_to)?.by ?? "a message"}` : "";
    say(head, `${said.by}: ${said.kind}${standing}${to}${answered}, ${clock(said.at)}`);
    const window = said.window_ends > Date.now() / 1000 ? `Objections until ${clock(said.window_ends)}. ` : "";
    const without = said.aside ? `Without effect: ${said.aside}. ` : "";
    const reason = said.reason ? `Reason: ${said.reason}` : "";
    say(aside, `${window}${without}${reason}`);
    show(aside, aside.textContent !== "");
    say(text, said.readable ? said.text : "not readable for you");
    keyed(refs, said.refs, (ref) => ref, () => el("a"), (link, ref) => {
      link.setAttribute("href", hrefOf(ref, state));
      say(link, ref);
    });
    show(refs, said.refs.length > 0);
  }

  function draw(state) {
    const thread = state.threads.get(id);
    const known = [...(state.spoken.get(id)?.values() ?? [])].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
    const why = state.pages.get(`threads/${id}`)?.faults?.thread ?? "";
    say(fault, why);
    show(fault, why !== "");
    const about = thread ? thread.task : id;
    show(task, state.tasks.has(about));
    task.setAttribute("href", `#/tasks/${encodeURIComponent(about)}`);
    say(facts, thread
      ? `${thread.state}, ${plural(thread.count, "message")}, ${plural(thread.participants.length, "participant")}: ${thread.participants.join(", ")}`
      : "Nothing was said here yet.");
    keyed(messages, known, (said) => said.id, make, (node, said) => fillIn(node, said, state));
    return { title: `Thread: ${thread ? name(thread, state) : state.tasks.get(id)?.title ?? id}` };
  }

  return {
    title: "Thread", root, draw, back: () => context.go("#/threads"),
    opens: (state) => ({
      kind: "threads", id, action: state.threads.has(id) ? "open" : "conversation",
      args: state.threads.has(id) ? { view: "threads", row: id } : { task: id },
    }),
  };
}

/** Where a reference leads. */
export function hrefOf(ref, state) {
  if (ref.startsWith("ucxl://")) return `#/context/${encodeURIComponent(ref)}`;
  if (state.tasks.has(ref)) return `#/tasks/${encodeURIComponent(ref)}`;
  if (state.threads.has(ref)) return `#/threads/${encodeURIComponent(ref)}`;
  return `#/threads`;
}

/** A page of its own for a new thread. */
export function fresh(context) {
  const writer = write(context, { thread: "" });
  return { title: "New thread", root: writer.root, draw: () => {}, focus: writer.focus, back: () => context.go("#/threads") };
}

/** The form for a message; what is typed is kept in this browser until the ledger has it. */
function write({ send, go }, { thread }) {
  const place = `bzzz-draft-thread-${thread}`;
  const kind = el("select", { id: "message-kind", onchange: kinds }, (thread ? KINDS : BEGINNINGS).map((one) => el("option", { value: one }, one)));
  const subject = el("input", { id: "message-subject", maxlength: "200", autocomplete: "off" });
  const to = el("input", { id: "message-to", maxlength: "1000", autocomplete: "off", "aria-describedby": "message-to-hint" });
  const reason = el("input", { id: "message-reason", maxlength: "500", autocomplete: "off", "aria-describedby": "message-reason-hint" });
  const text = el("textarea", { id: "message-text", rows: "5", maxlength: "32000", oninput: () => localStorage.setItem(place, text.value) });
  text.value = localStorage.getItem(place) ?? "";
  const window_ = el("input", { id: "message-window", inputmode: "numeric", maxlength: "5", autocomplete: "off", "aria-describedby": "message-window-hint" });
  const why = field("Reason", reason, "Why they are called");
  const objections = field("Window", window_, "Minutes within which others may object; empty: none");
  const replying = el("p", { role: "status" });
  const drop = el("button", { type: "button", onclick: () => reply("", "", "") }, "Not a reply");
  const fault = el("p", { role: "alert", class: "bad" });
  const button = el("button", { type: "submit", class: "primary" }, "Post");
  const root = el("form", { onsubmit: submit, novalidate: true },
    el("div", { class: "tools" }, replying, drop), thread ? null : field("Subject", subject), field("Kind", kind),
    field("Text", text), field("To", to, "People's ids, or role:NAME, with commas between; empty: whoever reads it"), why, objections,
    fault, el("div", { class: "tools" }, button));
  let replyTo = "";
  let busy = false;
  show(fault, false);
  reply("", "", "");
  kinds();

  function field(label, input, hint) {
    return el("div", { class: "field" }, el("label", { for: input.id }, label), input, hint && el("p", { class: "hint", id: `${input.id}-hint` }, hint));
  }

  function kinds() {
    show(why, kind.value === "escalation");
    show(objections, kind.value === "proposal");
  }

  function reply(id, of, by) {
    replyTo = id;
    say(replying, id ? `In reply to ${by}'s ${of}` : "");
    show(drop, Boolean(id));
    if (!id) return;
    kind.value = REPLIES[of] ?? "answer";
    kinds();
    text.focus();
  }

  function refuse(told) {
    say(fault, told);
    show(fault, true);
  }

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    if (!text.value.trim()) {
      refuse("A message needs a text.");
      text.focus();
      return;
    }
    busy = true;
    button.setAttribute("aria-disabled", "true");
    show(fault, false);
    try {
      const given = { form: thread ? "message" : "thread", kind: kind.value, text: text.value };
      if (thread) given.thread = thread;
      if (replyTo) given.reply_to = replyTo;
      if (!thread) given.subject = subject.value;
      if (kind.value === "proposal" && window_.value.trim()) given.window = window_.value;
      if (to.value.trim()) given.to = to.value;
      if (kind.value === "escalation") given.reason = reason.value;
      const outcome = await send("submit", given);
      if (!outcome.ok) {
        refuse(`Not sent: ${outcome.message}. What you wrote is kept.`);
        return;
      }
      localStorage.removeItem(place);
      text.value = "";
      reply("", "", "");
      if (!thread) go("#/threads");
    } catch (error) {
      refuse(`Not sent: ${error.message}. What you wrote is kept.`);
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  }

  return { root, reply, focus: () => (thread ? text : subject).focus() };
}
