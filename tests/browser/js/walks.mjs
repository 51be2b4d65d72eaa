// What people do on the page. Each walk gets a person at a fresh browser, and the test's setup.

import assert from "node:assert/strict";

const VIEWS = ["inbox", "tasks", "threads", "context", "agents", "peers", "health"];

/** Every page, looked at by axe. */
export async function inspection(person, setup) {
  const passes = {};
  await person.arrive(setup.address);
  await person.heading("Sign in");
  passes.signin = await person.inspect("sign in");
  await person.signIn();
  for (const name of VIEWS) {
    await person.page.evaluate((hash) => { location.hash = hash; }, `#/${name}`);
    await person.heading(new RegExp(`^${name}$`, "i"));
    passes[name] = await person.inspect(name);
  }
  for (const [hash, title] of setup.pages) {
    await person.page.evaluate((to) => { location.hash = to; }, hash);
    await person.heading(title);
    passes[hash] = await person.inspect(hash);
  }
  return passes;
}

/** Write a task, read it, cancel it and take that back, by keyboard alone. */
export async function task(person) {
  await person.signIn();
  assert.equal(await person.page.evaluate(() => location.href.includes("enter")), false);
  await person.tabTo("Skip to the content", "Tab");
  await person.press("Enter");
  await person.tabTo("New task");
  await person.press("Enter");
  await person.heading("New task");
  assert.equal((await person.focused()).name, "Title");
  await person.press("Control+Enter");
  await person.tabTo("Send task");
  await person.press("Enter");
  await person.sees("A task needs a title.");
  assert.equal((await person.focused()).name, "Title");
  await person.type("Check the <b>mail</b> n 5 ?");
  await person.tabTo("Body");
  await person.type("All of it.\nEvery line.");
  await person.page.reload();
  await person.heading("New task");
  assert.equal(await person.page.getByLabel("Title").inputValue(), "Check the <b>mail</b> n 5 ?");
  await person.tabTo("Send task");
  await person.press("Enter");
  await person.heading("Check the <b>mail</b> n 5 ?");
  await person.sees("Every line.");
  assert.equal(await person.page.locator("main b").count(), 0);
  await person.press("c");
  await person.sees("canceling");
  await person.press("u");
  await person.sees("taken back");
  await person.tabTo("Cancel task");
  await person.press("Enter");
  await person.sees("canceled");
  await person.page.getByRole("button", { name: "Retry task" }).waitFor();
  await person.press("Escape");
  await person.heading("Tasks");
  await person.press("j");
  assert.match((await person.focused()).name, /Check the <b>mail/);
  await person.press("/");
  await person.type("no such words");
  await person.sees("0 of");
  await person.press("Escape");
  await person.press("Escape", "?");
  await person.heading("Help and keys");
}

/** Questions answered by keyboard alone: approve with an undo, a choice, a text, a form, and high risk with its word. */
export async function prompts(person) {
  await person.signIn();
  await person.heading("Inbox");
  await person.tabTo("May I delete the old backups?");
  await person.press("Enter");
  await person.heading("Question: May I delete the old backups?");
  await person.sees("They are 40 GB.");
  await person.sees("host-3:/srv/backup");
  await person.inspect("a question");
  await ready(person);
  await person.tabTo("Approve…");
  await person.press("Enter", "Enter", "Enter"); // a key pressed three times only gets to the confirmation
  await person.sees("Send to worker-1: approve?");
  await person.inspect("a confirmation");
  await sendable(person);
  assert.equal(await person.page.getByText("Undo takes it back").count(), 0);
  await person.tabTo("Send");
  await person.press("Enter");
  await person.sees("Your answer approve waits");
  await person.press("u");
  await person.sees("taken back");
  await ready(person);
  await person.tabTo("Deny…");
  await person.press("Enter");
  await person.sees("Send to worker-1: deny?");
  await sendable(person);
  await person.tabTo("Send");
  await person.press("Enter");
  await person.sees("✓ The ledger has your answer deny");

  await question(person, "Which of them?");
  await person.tabTo("The first");
  await person.press("Space", "ArrowDown");
  await person.tabTo("Choose…");
  await confirmed(person, "second");

  await question(person, "Why so?");
  await person.tabTo("Text");
  await person.type("Because <i>it</i> rains.\nOften.");
  await person.tabTo("Answer…");
  await confirmed(person, "what you wrote");

  await question(person, "Fill this in");
  await person.tabTo("Answer…");
  await person.press("Enter");
  await person.sees("Host is needed.");
  await person.tabTo("Host", "Shift+Tab");
  await person.type("host-9");
  await person.tabTo("Answer…");
  await confirmed(person, "what you filled in");

  await question(person, "Reboot host-3");
  await person.tabTo("Approve…");
  await person.press("Enter");
  await person.sees("Type reboot to confirm");
  await person.inspect("a confirmation of high risk");
  await sendable(person);
  await person.tabTo(/^This is of high risk/);
  await person.type("yes");
  await person.press("Enter");
  await person.sees("That is not the word.");
  await person.press("Control+a");
  await person.type("reboot");
  await person.press("Enter");
  await person.sees("✓ The ledger has your answer approve");

  await question(person, "A forged one", false);
  await person.sees("Do not answer this");
  assert.equal(await person.page.getByRole("button", { name: "Approve…" }).count(), 0);
}

async function ready(person) {
  await person.page.waitForFunction(() => document.querySelector("[data-step=no]")?.getAttribute("aria-disabled") !== "true"
    && document.querySelector("[data-step=no]")?.checkVisibility());
}

/** The dead time of the confirmation is over. */
async function sendable(person) {
  await person.page.locator("main button.primary:not([aria-disabled])", { hasText: "Send" }).waitFor();
}

async function question(person, title, answerable = true) {
  await person.press("Escape", "1");
  await person.heading("Inbox");
  await person.tabTo(new RegExp(`^${title}`));
  await person.press("Enter");
  await person.heading(new RegExp(`^Question: ${title}`));
  await person.inspect(title);
  if (answerable) await ready(person);
}

async function confirmed(person, words) {
  await person.press("Enter");
  await person.sees(`Send to worker-1: ${words}?`);
  await sendable(person);
  await person.tabTo("Send");
  await person.press("Enter");
  await person.sees("✓ The ledger has your answer");
}

/** A question that changes while it is read takes no answer until it is read anew. */
export async function changing(person) {
  await person.signIn();
  await person.tabTo("May I delete the old backups?");
  await person.press("Enter");
  await ready(person);
  await person.tabTo("Approve…");
  await person.press("Enter");
  await person.sees("Send to worker-1: approve?");
  console.log("READY");
  await person.sees("The question has changed since you read it");
  await person.sees("They are 40 GB.");
  assert.equal(await person.page.getByRole("button", { name: "Send", exact: true }).isVisible(), false);
  await person.tabTo("Read it anew");
  await person.press("Enter");
  await person.sees("They are 80 GB.");
  await ready(person);
  assert.equal(await person.page.getByRole("button", { name: "Send", exact: true }).isVisible(), false);
}

/** While the daemon is away the page says so, shows what it saw, and comes back by itself with what it missed. */
export async function away(person) {
  await person.signIn();
  await person.sees("First task");
  console.log("READY");
  await person.sees("bzzzd is away");
  await person.sees("First task");
  assert.match(await person.page.title(), /^\(offline\)/);
  await person.inspect("offline");
  console.log("READY");
  await person.sees("Second task");
  await person.page.waitForFunction(() => document.getElementById("banner").hidden);
}

/** While the portal is away the page says so; one that has started anew lets nobody in by an old session. */
export async function restart(person) {
  await person.signIn();
  console.log("READY");
  await person.sees("The portal is away");
  await person.sees("First task");
  console.log("READY");
  await person.heading("Sign in");
}

/** A used address lets nobody in, and signing out ends it for this browser. */
export async function door(person, setup) {
  await person.signIn();
  const other = await person.context.browser().newContext();
  const page = await other.newPage();
  await page.goto(setup.url);
  await page.getByRole("alert").filter({ hasText: "used already" }).waitFor();
  await other.close();
  await person.tabTo("Sign out");
  await person.press("Enter");
  await person.heading("Sign in");
  await person.page.reload();
  await person.heading("Sign in");
}

/** With a real node: a thread is read and answered, versions are read, compared and saved, by keyboard alone. */
export async function rooms(person, setup) {
  await person.signIn();
  await person.press("2");
  await person.tabTo("Check the backups");
  await person.press("Enter");
  await person.heading("Check the backups");
  await person.tabTo("Thread");
  await person.press("Enter");
  await person.sees("I read the notes first.");
  await person.inspect("a thread");
  await person.tabTo("Reply to lena");
  await person.press("Enter");
  await person.sees("In reply to lena's proposal");
  assert.equal((await person.focused()).name, "Text");
  await person.type("Which <u>notes</u>?");
  await person.tabTo("Post");
  await person.press("Enter");
  await person.page.locator(".message", { hasText: "Which <u>notes</u>?" }).waitFor();
  assert.equal(await person.page.locator("main u").count(), 0);
  await person.press("Escape", "Escape", "3");
  await person.heading("Threads");
  await person.tabTo("New thread");
  await person.press("Enter");
  await person.heading("New thread");
  await person.inspect("a new thread");
  assert.equal((await person.focused()).name, "Subject");
  await person.type("Disks");
  await person.tabTo("Text");
  await person.type("They are nearly full.");
  await person.tabTo("Post");
  await person.press("Enter");
  await person.heading("Threads");
  await person.sees("Disks");

  await person.press("4");
  await person.heading("Context");
  await person.sees(setup.context);
  await person.inspect("the context");
  await person.tabTo(setup.context);
  await person.press("Enter");
  await person.sees("Nothing is missing.");
  await person.sees("version 2 of 2");
  await person.press("[");
  await person.sees("The keys are missing.");
  await person.press("]");
  await person.sees("version 2 of 2");
  await person.tabTo("Compare");
  await person.press("Enter");
  await person.heading(/^Context: /);
  await person.page.locator(".del", { hasText: "The keys are missing." }).waitFor();
  await person.page.locator(".add", { hasText: "Nothing is missing." }).waitFor();
  await person.inspect("two versions side by side");
  await person.tabTo("Ask who holds it");
  await person.press("Enter");
  await person.sees("node-1");
  await person.inspect("an address");
  await person.tabTo("Save", "Shift+Tab");
  const [download] = await Promise.all([person.page.waitForEvent("download"), person.press("Enter")]);
  const stream = await download.createReadStream();
  const parts = [];
  for await (const part of stream) parts.push(part);
  return { name: download.suggestedFilename(), saved: Buffer.concat(parts).toString() };
}
