// The tasks, newest first.

import { el } from "./dom.js";
import { linkRow, list } from "./list.js";
import { age, percent, taskSign } from "./words.js";

export function open() {
  const { root, draw } = list({
    name: "tasks",
    word: "task",
    empty: "No tasks yet.",
    rows: (state) => [...state.tasks.values()].sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1)),
    key: (task) => task.id,
    text: (task) => [task.title, task.id, task.state, task.agent, task.role, task.capability, task.project,
      task.author].join(" "),
    actions: [el("a", { class: "button", href: "#/new" }, "New task")],
    make: () => {
      const row = linkRow((task) => `#/tasks/${encodeURIComponent(task.id)}`);
      return {
        node: row.node,
        update(task) {
          const working = task.state === "working" && task.progress ? percent(task.progress) : "";
          row.fill(task, taskSign(task.state), task.title || task.id, [
            working, task.agent && `by ${task.agent}`, task.reason, age(Date.now() / 1000 - task.created),
          ]);
        },
      };
    },
  });
  return { title: "Tasks", root, draw };
}
