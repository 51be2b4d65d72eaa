// Runs one walk in a fresh browser: node main.mjs '{"walk": NAME, "chromium": PATH, "url": URL, …}'.
// The last line on standard output is what the walk found, as JSON.

import { chromium } from "playwright-core";
import { Person } from "./person.mjs";
import * as walks from "./walks.mjs";

const setup = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: setup.chromium,
  // Chromium refuses its sandbox to root; where the tests run as somebody else it is on.
  args: [...(setup.root ? ["--no-sandbox"] : []), "--disable-dev-shm-usage", "--disable-gpu"],
});
const faults = [];
try {
  const context = await browser.newContext({ viewport: { width: setup.width ?? 1280, height: 800 }, colorScheme: setup.scheme ?? "light" });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`page: ${error.stack ?? error}`));
  page.on("console", (line) => {
    // Refusals that a walk provokes are told by the browser as failed resources.
    if (line.type() === "error" && !/Failed to load resource|net::ERR/.test(line.text())) faults.push(`console: ${line.text()}`);
  });
  const person = new Person(page, context, setup);
  const found = (await walks[setup.walk](person, setup)) ?? {};
  if (faults.length) throw new Error(`the page complained:\n${faults.join("\n")}`);
  console.log(JSON.stringify(found));
} catch (error) {
  console.error(error.stack ?? String(error), faults.join("\n"));
  const [page] = browser.contexts()[0]?.pages() ?? [];
  if (page) console.error(await page.locator("body").innerText().catch(() => ""));
  process.exitCode = 1;
} finally {
  await browser.close();
}
