// A person at the page who has a keyboard and no mouse, and an inspector with axe.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TABS = 80;

export class Person {
  constructor(page, context, setup) {
    this.page = page;
    this.context = context;
    this.setup = setup;
  }

  async arrive(url = this.setup.url) {
    await this.page.goto(url);
  }

  async signIn() {
    await this.arrive();
    await this.page.getByRole("button", { name: "Sign out" }).waitFor();
    await this.sees("● online");
  }

  async sees(text) {
    await this.page.locator("body").filter({ hasText: text }).waitFor();
  }

  async heading(text) {
    await this.page.getByRole("heading", { level: 1, name: text }).waitFor();
  }

  async type(text) {
    await this.page.keyboard.type(text);
  }

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** Tab until what has the focus is called so; it must be visible and its focus must show. */
  async tabTo(name, key = "Tab") {
    const passed = [];
    for (let i = 0; i < TABS; i += 1) {
      await this.page.keyboard.press(key);
      const found = await this.focused();
      passed.push(found.name);
      if (found.name !== name && !(name instanceof RegExp && name.test(found.name))) continue;
      if (!found.visible) throw new Error(`${found.name} has the focus and is not visible`);
      if (!found.ring) throw new Error(`the focus on ${found.name} does not show`);
      return;
    }
    throw new Error(`no way to ${name} by ${key}; it passed ${passed.join(" | ")}`);
  }

  /** The name, as a screen reader gets it, of what has the focus. */
  async focused() {
    return this.page.evaluate(() => {
      const node = document.activeElement;
      const labels = node.labels?.length ? [...node.labels].map((label) => label.textContent).join(" ") : "";
      const named = node.getAttribute("aria-labelledby")?.split(" ").map((id) => document.getElementById(id)?.textContent).join(" ");
      const box = node.getBoundingClientRect();
      const style = getComputedStyle(node);
      return {
        name: (node.getAttribute("aria-label") || named || labels || node.textContent || "").trim().replace(/\s+/g, " "),
        visible: box.width > 0 && box.height > 0,
        ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      };
    });
  }

  /** What axe finds wrong, and whether anything is wider than the window. */
  async inspect(what) {
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate(() => window.axe.run(document, {
      runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
    }));
    const told = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(" ; ")}`);
    const over = await this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (over > 0) told.push(`the page is ${over} px wider than its window`);
    if (told.length) throw new Error(`${what}: ${told.join("\n")}`);
    return found.passes.length;
  }
}
