// One question to the person. What is answered is what was read: the page pins the proven text's digest, answers
// wait for a dead time after it came into view, sending takes another step than choosing, and high risk a typed word.

import { answerForm } from "./answer.js";
import { el, facts, keyed, say, show } from "./dom.js";
import { stateMark } from "./list.js";
import { hrefOf } from "./threads.js";
import { age, clock, promptSign } from "./words.js";

const RISKS = { low: "○ low", medium: "▲ medium", high: "▲▲ high" };

export function open(context, id) {
  const state = stateMark();
  const list = el("dl", { class: "facts" });
  const danger = el("p", { role: "alert", class: "bad" });
  const body = el("div", { class: "text", tabindex: "0", role: "region", "aria-label": "Question" });
  const action = el("dl", { class: "facts" });
  const args = el("pre", { class: "text", tabindex: "0", "aria-label": "Arguments of the action" });
  const what = el("section", { "aria-labelledby": "action-title" }, el("h2", { id: "action-title" }, "What would be done"), action, args);
  const evidence = el("ul", { "aria-label": "Evidence" });
  const proof = el("section", { "aria-labelledby": "evidence-title" }, el("h2", { id: "evidence-title" }, "Evidence"), evidence);
  const form = answerForm(context, id);
  const read = el("button", { type: "button", onclick: again }, "Read it anew");
  const receipt = el("p", { role: "status" });
  const root = el("div", {}, el("p", {}, state.node), list, danger, read, body, what, proof, form.root, receipt);
  let pinned = ""; // the digest of the text that this page shows

  /** The person asks for what the question says now; the answer, the steps and the dead time begin anew. */
  function again() {
    pinned = "";
    form.restart();
    context.reopen();
  }

  function draw(all) {
    const prompt = all.prompts.get(id);
    const asked = all.asked.get(id);
    const page = all.page?.kind === "inbox" && all.page.id === id ? all.page : null;
    if (!prompt) {
      [list, body, what, proof, form.root, read].forEach((node) => show(node, false));
      return { title: all.whole ? "No such question is known here" : "Question" };
    }
    if (asked && !pinned) pinned = asked.digest;
    const changed = Boolean(asked) && (asked.digest !== pinned || prompt.digest !== pinned);
    if (!changed) drawText(asked, prompt, all);
    const now = Date.now() / 1000;
    state.update(promptSign(prompt.state));
    facts(list, [
      ["asked by", prompt.by], ["task", taskLink(prompt, all)], ["risk", RISKS[prompt.risk] ?? prompt.risk],
      ["asks", [...prompt.people, ...prompt.roles.map((role) => `role:${role}`)].join(", ")],
      ["needed", prompt.quorum > 1 ? `${prompt.quorum} answers` : ""], ["asked at", clock(prompt.created)],
      ["time left", timeLeft(prompt, now)], ["without an answer", prompt.default],
      ["answers", prompt.answers.map((one) => `${one.by}: ${one.choice}`).join(", ")],
      ["digest", prompt.digest.slice(0, 8)], ["id", prompt.id],
    ]);
    const why = page?.faults?.prompt;
    const trouble = asked?.fault ? `✗ Do not answer this: ${asked.fault}.`
      : asked && !asked.readable ? "✗ Its text is not readable for you, so you cannot answer it."
        : changed ? "✗ The question has changed since you read it. What is below is the old text."
          : why ? `✗ It could not be read: ${why}` : "";
    if (danger.textContent !== trouble) say(danger, trouble);
    show(danger, trouble !== "");
    show(read, changed || Boolean(why));
    const reception = all.receptions.find((one) => one.prompt === id);
    drawReceipt(prompt, reception, all.me.id);
    const open = ["open", "seen"].includes(prompt.state) && !prompt.answers.some((one) => one.by === all.me.id);
    const takes = !trouble && Boolean(asked) && prompt.for_me && all.me.kind !== "guest" && (open || prompt.state === "unknown")
      && (!reception || reception.state === "refused" || (prompt.state === "unknown" && reception.state === "done"));
    const ready = takes && page !== null && page.ready && page.pinned === pinned;
    form.draw({ asked, prompt, takes, ready, digest: pinned });
    return { title: `Question: ${asked?.title || prompt.title || prompt.id}` };
  }

  function drawText(asked, prompt, all) {
    say(body, asked ? asked.body : "its text has not arrived yet");
    show(what, Boolean(asked?.op));
    facts(action, [["operation", asked?.op ?? ""], ["target", asked?.target ?? ""]]);
    say(args, asked?.args ?? "");
    show(args, Boolean(asked?.args));
    keyed(evidence, asked?.evidence ?? [], (ref) => ref, () => el("li", {}, el("a")), (row, ref) => {
      row.firstChild.setAttribute("href", hrefOf(ref, all));
      say(row.firstChild, ref);
    });
    show(proof, Boolean(asked?.evidence?.length));
  }

  function drawReceipt(prompt, reception, me) {
    const mine = prompt.answers.find((one) => one.by === me);
    const words = {
      waiting: `Your answer ${reception?.choice} waits; Undo takes it back.`,
      kept: `Your answer ${reception?.choice} is on disk and on its way.`,
      held: `Your answer ${reception?.choice} waits at this node for the coordinator.`,
      done: `✓ The ledger has your answer ${reception?.choice}${reception?.entry ? `, entry ${reception.entry}` : ""}.`,
      refused: `✗ Your answer was refused: ${reception?.why}`,
    };
    const told = reception ? words[reception.state] : mine ? `✓ You have answered: ${mine.choice}.` : "";
    say(receipt, told ?? "");
    show(receipt, Boolean(told));
  }

  const link = el("a");
  function taskLink(prompt, all) {
    link.setAttribute("href", `#/tasks/${encodeURIComponent(prompt.task)}`);
    say(link, all.tasks.get(prompt.task)?.title || prompt.task);
    return link;
  }

  return {
    title: "Question", root, draw, back: () => context.go("#/inbox"),
    opens: () => ({ kind: "inbox", id, action: "open", args: { view: "inbox", row: id } }),
  };
}

function timeLeft(prompt, now) {
  if (!prompt.expires) return "";
  return prompt.expires > now ? `${age(prompt.expires - now)}, until ${clock(prompt.expires)}` : "over";
}
