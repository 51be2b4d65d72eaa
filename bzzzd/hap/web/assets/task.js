// One task: its facts, its brief, its decision with every version, and its whole way.

import { el, facts, fill, keyed, say, show } from "./dom.js";
import { stateMark } from "./list.js";
import { clock, percent, taskSign, when } from "./words.js";

const FINAL = new Set(["completed", "failed", "canceled", "rejected"]);

export function open({ perform, go }, id) {
  const state = stateMark();
  const list = el("dl", { class: "facts" });
  const cancel = el("button", { type: "button", id: "cancel", onclick: () => perform("cancel", { task: id }) }, "Cancel task");
  const retry = el("button", { type: "button", id: "retry", onclick: () => perform("retry", { task: id }) }, "Retry task");
  const thread = el("a", { class: "button", href: `#/threads/${encodeURIComponent(id)}` }, "Thread");
  const brief = textPart("Brief", "brief");
  const decision = textPart("Decision", "decision");
  const explanation = textPart("Why it failed", "explanation");
  const earlier = el("button", { type: "button", id: "earlier", onclick: () => perform("earlier") }, "Earlier version");
  const later = el("button", { type: "button", id: "later", onclick: () => perform("later") }, "Later version");
  const which = el("p", { role: "status" });
  decision.root.insertBefore(el("div", { class: "tools" }, earlier, later, which), decision.text);
  const steps = el("ol", { class: "steps" });
  const trace = el("section", { "aria-labelledby": "trace-title" }, el("h2", { id: "trace-title" }, "Trace"), steps);
  const root = el("div", {}, el("p", {}, state.node), el("div", { class: "tools" }, cancel, retry, thread), list,
    brief.root, decision.root, explanation.root, trace);

  function draw(all) {
    const task = all.tasks.get(id);
    const page = all.pages.get(`tasks/${id}`);
    if (!task) {
      return { title: all.whole ? "No such task is known here" : "Task" };
    }
    state.update(taskSign(task.state));
    show(cancel, !FINAL.has(task.state));
    show(retry, FINAL.has(task.state));
    const now = Date.now() / 1000;
    const progress = task.progress ? [percent(task.progress), task.progress.note].filter(Boolean).join(" ") : "";
    facts(list, [
      ["reason", task.reason], ["agent", task.agent || "nobody yet"], ["role", task.role || "any"],
      ["capability", task.capability || "any"], ["priority", `${task.priority} of 0 to 9`],
      ["project", task.project], ["author", task.author], ["created", when(task.created, now)],
      ["updated", when(task.updated, now)], ["progress", progress],
      ["strikes", task.strikes ? `${task.strikes} of 3` : ""], ["retry of", task.retry_of],
      ["decision at", task.address], ["id", task.id],
    ]);
    drawTexts(page, task);
    return { title: task.title || task.id };
  }

  function drawTexts(page, task) {
    const faults = page?.faults ?? {};
    brief.draw(page?.brief?.text, faults.show);
    explanation.draw(page?.explanation?.text);
    show(explanation.root, Boolean(page?.explanation));
    show(decision.root, Boolean(task.address || page?.decision));
    decision.draw(page?.decision?.text, faults.decision);
    const found = page?.decision;
    const of = Math.max(found?.of ?? 0, page?.history?.versions?.length ?? 0);
    const at = found?.number || of;
    earlier.disabled = !found || at <= 1;
    later.disabled = !found || at >= of;
    const conflict = found?.conflict ? "; two wrote at once, and both versions are kept" : "";
    say(which, found ? `version ${at || 1} of ${of || 1}${found.author ? ` by ${found.author}` : ""}, ${clock(found.at)}${conflict}` : "");
    const way = page?.trace ?? [];
    show(trace, way.length > 0);
    keyed(steps, way.map((step, number) => ({ ...step, number })), (step) => String(step.number), () => el("li"),
      (row, step) => say(row, `${clock(step.at)} ${step.what}${step.by ? ` by ${step.by}` : ""}${step.detail ? `: ${step.detail}` : ""}`));
  }

  return { title: "Task", root, draw, opens: () => ({ kind: "tasks", id, action: "open", args: { task: id } }), back: () => go("#/tasks") };
}

/** A heading with a text below it, which says so when it is not there yet. */
export function textPart(title, id) {
  const text = el("pre", { class: "text", tabindex: "0", "aria-labelledby": `${id}-title` });
  const fault = el("p", { class: "bad" });
  const root = el("section", { "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), fault, text);
  return {
    root,
    text,
    draw(content, why) {
      say(fault, why ?? "");
      show(fault, Boolean(why));
      show(text, Boolean(content) || !why);
      say(text, content || "not there yet");
    },
  };
}

export { fill };
