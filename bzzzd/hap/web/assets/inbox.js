// What needs the person, the most urgent first.

import { linkRow, list } from "./list.js";
import { age, ago } from "./words.js";

const MARKS = {
  prompt: { mark: "▲", tone: "warn", word: "question" },
  unknown: { mark: "?", tone: "bad", word: "unknown outcome" },
  mention: { mark: "●", tone: "info", word: "mention" },
  task: { mark: "▲", tone: "warn", word: "task waits" },
};

/** Where a row of the inbox leads. */
export function hrefOf(need) {
  const view = { task: "tasks", mention: "threads" }[need.kind] ?? "inbox";
  return `#/${view}/${encodeURIComponent(need.target || need.id)}`;
}

export function open() {
  const { root, draw } = list({
    name: "things that need you",
    word: "thing that needs you",
    empty: "Nothing needs you.",
    rows: (state) => state.needs,
    key: (need) => need.id,
    text: (need) => [need.title, need.id, need.by, need.kind, need.risk].join(" "),
    make: () => {
      const row = linkRow(hrefOf);
      return {
        node: row.node,
        update(need) {
          const now = Date.now() / 1000;
          row.fill(need, MARKS[need.kind] ?? MARKS.prompt, need.title || need.id, [
            need.risk && `${need.risk} risk`, need.by && `by ${need.by}`, need.at && ago(need.at, now),
            need.expires ? (need.expires > now ? `${age(need.expires - now)} left` : "time is over") : "",
          ]);
        },
      };
    },
  });
  return { title: "Inbox", root, draw, enters: "inbox" };
}
