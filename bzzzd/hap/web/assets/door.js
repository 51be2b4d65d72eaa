// Signing in, and calls to the portal. The key lies in storage of this origin, port included; the cookie is not
// within reach of scripts. Either alone opens nothing.

const PLACE = "bzzz-key";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const key = () => localStorage.getItem(PLACE) ?? "";
export const forget = () => localStorage.removeItem(PLACE);

/** The word of the URL, taken out of the address bar and the history. */
export function takeWord() {
  const found = /^#enter=([A-Za-z0-9_-]+)$/.exec(location.hash);
  if (!found) return "";
  history.replaceState(null, "", "/#/");
  return found[1];
}

export async function enter(word) {
  const answer = await call("enter", { word });
  localStorage.setItem(PLACE, answer.key);
}

export async function leave() {
  try {
    await call("leave", {});
  } finally {
    forget();
  }
}

/** One call; throws `Refused` with the portal's code and message, or a TypeError when the portal is away. */
export async function call(name, body) {
  const answer = await fetch(`/api/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Bzzz-Key": key() },
    body: JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  return read(answer);
}

async function read(answer) {
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said.code ?? "FAILED", said.message ?? answer.statusText);
  return said;
}

/**
 * Ask for an action. Without an answer the same request goes again: its id keeps it from being done twice.
 * Gives the `handled` line: `commands` that it began, `pending` orders, and what the portal has to say.
 */
export async function act(action, args = {}) {
  const request = { action, id: crypto.randomUUID(), ...args };
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call("act", request);
    } catch (error) {
      const again = !(error instanceof Refused) || error.status === 429;
      if (!again || attempt === 3) throw error;
      await new Promise((done) => setTimeout(done, 500 * 2 ** attempt));
    }
  }
}
