// How states, ages, times and sizes are written; the same words as in the terminal (bzzzd/hap/words.py).

const TASKS = {
  submitted: ["○", "info"], working: ["●", "accent"], input_required: ["▲", "warn"], completed: ["✓", "ok"],
  failed: ["✗", "bad"], canceled: ["■", "dim"], rejected: ["✗", "bad"],
};
const SERVICES = {
  ready: ["●", "ok"], starting: ["○", "info"], degraded: ["▲", "warn"], failed: ["✗", "bad"], stopped: ["■", "dim"],
};
const PROMPTS = {
  open: ["▲", "warn"], seen: ["▲", "warn"], answered: ["●", "info"], claimed: ["●", "accent"], executed: ["✓", "ok"],
  failed: ["✗", "bad"], unknown: ["?", "bad"], expired: ["■", "dim"], canceled: ["■", "dim"], superseded: ["■", "dim"],
};

function sign(table, state) {
  const [mark, tone] = table[state] ?? ["·", "dim"];
  return { mark, tone, word: state.replaceAll("_", " ") };
}

export const taskSign = (state) => sign(TASKS, state);
export const serviceSign = (state) => sign(SERVICES, state);
export const promptSign = (state) => sign(PROMPTS, state);
export const presence = (present, word) =>
  present ? { mark: "●", tone: "ok", word } : { mark: "○", tone: "dim", word: "away" };

/** A duration: `10s`, `5m`, `3h`, `8d`, `40w`. */
export function age(seconds) {
  if (seconds < 5) return "now";
  for (const [limit, unit, size] of [[60, "s", 1], [3600, "m", 60], [86400, "h", 3600], [86400 * 60, "d", 86400]]) {
    if (seconds < limit) return `${size === 1 ? Math.floor(seconds / 5) * 5 : Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.floor(seconds / (86400 * 7))}w`;
}

export function ago(at, now) {
  if (!(at > 0)) return "unknown";
  const told = age(now - at);
  return told === "now" ? "just now" : `${told} ago`;
}

/** A time of day in the person's own zone, with its date when that is not today. */
export function clock(at, now = Date.now() / 1000) {
  if (!(at > 0)) return "unknown";
  const then = new Date(at * 1000);
  const two = (value) => String(value).padStart(2, "0");
  const time = `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
  if (then.toDateString() === new Date(now * 1000).toDateString()) return time;
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())} ${time}`;
}

export const when = (at, now) => (at > 0 ? `${clock(at, now)}, ${ago(at, now)}` : "unknown");

export function size(count) {
  if (count < 1024) return `${count} B`;
  for (const [unit, step] of [["KiB", 1024], ["MiB", 1024 ** 2]]) {
    if (count < step * 1024) return `${(count / step).toFixed(1)} ${unit}`;
  }
  return `${(count / 1024 ** 3).toFixed(1)} GiB`;
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

export function percent(progress) {
  if (!progress || !(progress.total > 0)) return "";
  return `${Math.max(0, Math.min(100, Math.floor((100 * progress.done) / progress.total)))}%`;
}
