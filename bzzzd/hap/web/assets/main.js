// The page's beginning: signs in, follows the portal's events, and shows the view that the address names.

import * as chrome from "./chrome.js";
import * as compose from "./compose.js";
import * as door from "./door.js";
import * as help from "./help.js";
import * as keys from "./keys.js";
import * as mesh from "./mesh.js";
import * as signin from "./signin.js";
import { Store } from "./state.js";
import * as task from "./task.js";
import * as tasks from "./tasks.js";

const VIEWS = [
  { key: "2", name: "tasks", list: tasks.open, one: task.open },
  { key: "5", name: "agents", list: mesh.agents },
  { key: "6", name: "peers", list: mesh.peers },
  { key: "7", name: "health", list: mesh.health },
].map((view) => ({ ...view, href: `#/${view.name}` }));
const OTHERS = { new: compose.open, help: help.open };

let inside = false;
let page = null;
let asked = "";

const store = new Store({
  draw,
  noticed: (line) => chrome.notice(line.text, line.level),
  out,
});

const context = { views: VIEWS, store, go, perform, send };

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

/** The portal shows one opened thing at a time; it is asked again when another page has opened another. */
function ask() {
  if (!page?.opens || !store.whole) return;
  const { kind, id, args } = page.opens;
  const now = store.state.page;
  if (asked === `${kind}/${id}` && now && (now.kind !== kind || now.id !== id) && document.hidden) return;
  asked = `${kind}/${id}`;
  perform("open", args);
}

function route() {
  const [, name = "", rest = ""] = /^#\/([a-z]*)(?:\/(.*))?$/.exec(location.hash) ?? [];
  const view = VIEWS.find((one) => one.name === name);
  let make = OTHERS[name];
  if (view) make = rest && view.one ? view.one : view.list;
  if (!make) {
    location.replace("#/tasks");
    return;
  }
  page = make(context, decode(rest));
  chrome.current(VIEWS, name);
  chrome.put(page);
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
  if (!page) return;
  if (page.opens && store.whole && asked !== `${page.opens.kind}/${page.opens.id}`) ask();
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
  if (page.opens && store.state.page?.id !== page.opens.id) ask();
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
