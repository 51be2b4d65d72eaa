// The page's beginning: signs in, follows the portal's events, and shows the view that the address names.

import * as chrome from "./chrome.js";
import * as compose from "./compose.js";
import * as door from "./door.js";
import * as help from "./help.js";
import * as keys from "./keys.js";
import * as mesh from "./mesh.js";
import * as signin from "./signin.js";
import * as contexts from "./context.js";
import * as inbox from "./inbox.js";
import * as prompt from "./prompt.js";
import { Store } from "./state.js";
import * as task from "./task.js";
import * as tasks from "./tasks.js";
import * as threads from "./threads.js";

const VIEWS = [
  { key: "1", name: "inbox", list: inbox.open, one: prompt.open },
  { key: "2", name: "tasks", list: tasks.open, one: task.open },
  { key: "3", name: "threads", list: threads.open, one: threads.one },
  { key: "4", name: "context", list: contexts.open, one: contexts.one },
  { key: "5", name: "agents", list: mesh.agents },
  { key: "6", name: "peers", list: mesh.peers },
  { key: "7", name: "health", list: mesh.health },
].map((view) => ({ ...view, href: `#/${view.name}` }));
const OTHERS = { new: compose.open, write: threads.fresh, help: help.open };

let inside = false;
let page = null;
let asked = "";

const store = new Store({
  draw,
  noticed: (line) => chrome.notice(line.text, line.level),
  out,
});

const context = { views: VIEWS, store, go, perform, send, act: door.act, reopen: () => ask(true), say: chrome.notice };

function go(href) {
  if (location.hash === href) route();
  else location.hash = href;
}

/** Do an action; what is refused becomes a notice. Gives the answer, or null. */
async function perform(action, args = {}) {
  try {
    return await door.act(action, args);
  } catch (error) {
    if (error.status === 401) out();
    else chrome.notice(error.message, "bad");
    return null;
  }
}

/** Do an action that begins a command, and wait for its outcome: {ok, …} or {ok: false, message}. */
async function send(action, args) {
  const answer = await door.act(action, args);
  const [command] = answer.commands;
  if (command === undefined) return { ok: false, message: answer.notice || "it was not begun" };
  return store.outcome(command);
}

/**
 * The portal shows one opened thing at a time, or a list. Ask for what this page shows, when the page is new, and when
 * it is looked at again after another page has opened another thing.
 */
function ask(again = false) {
  if (!page || !store.state.whole) return;
  if (page.enters) {
    if (!again && asked === page.enters) return;
    asked = page.enters;
    perform(page.enters);
    return;
  }
  if (!page.opens) return;
  const wanted = page.opens(store.state);
  const place = `${wanted.kind}/${wanted.asked ?? wanted.id}`;
  if (!again && asked === place) return;
  asked = place;
  perform(wanted.action, wanted.args);
}

/** Whether the portal still has this page's thing open. */
function ours() {
  const now = store.state.page;
  const wanted = page?.opens?.(store.state);
  return !wanted || (now?.kind === wanted.kind && now?.id === wanted.id);
}

function route() {
  const [, name = "", rest = ""] = /^#\/([a-z]*)(?:\/(.*))?$/.exec(location.hash) ?? [];
  const view = VIEWS.find((one) => one.name === name);
  let make = OTHERS[name];
  if (view) make = rest && view.one ? view.one : view.list;
  if (!make) {
    if (!store.state.whole) return;
    location.replace(store.state.needs.length ? "#/inbox" : "#/tasks");
    return;
  }
  page = make(context, decode(rest));
  chrome.current(VIEWS, name);
  chrome.put(page);
  asked = "";
  ask();
  draw(store.state);
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function draw(state) {
  if (!page) {
    if (inside && state.whole) route();
    return;
  }
  if (!asked) ask();
  chrome.draw(state);
  chrome.title(page.draw(state)?.title ?? page.title, state);
}

/** The session is over: it was left, or unused for long, or the portal has started anew. */
function out() {
  door.forget();
  start();
}

async function start() {
  const word = door.takeWord();
  store.stream.stop();
  inside = false;
  let why = "";
  if (word) {
    try {
      await door.enter(word);
    } catch (error) {
      why = error.message;
    }
  }
  if (why || !door.key()) {
    page = null;
    door.forget();
    chrome.signedOut(signin.open(why));
    return;
  }
  inside = true;
  chrome.signedIn(VIEWS);
  store.restart();
  route();
}

window.addEventListener("hashchange", () => {
  if (/^#enter=/.test(location.hash)) start();
  else if (inside) route();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !page) return;
  store.stream.hurry();
  if (!ours()) ask(true);
});
window.addEventListener("online", () => store.stream.hurry());
setInterval(() => draw(store.state), 15_000);
keys.listen({ views: VIEWS, go, back: () => page?.back?.(), undo: () => page && perform("undo") });
chrome.begin({
  undo: () => perform("undo"),
  leave: async () => {
    await door.leave().catch(() => {});
    start();
  },
});
start();
