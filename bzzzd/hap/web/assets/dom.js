// Elements without markup: whatever comes from the mesh becomes a text node, never HTML.

/** An element. `props`: attributes, `class`, and `onEVENT` handlers; what is null or false is left out. */
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** Change a text only when it differs, so that screen readers and selections are left alone. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function fill(node, ...children) {
  node.replaceChildren(...present(children));
}

/** Show a node or not. */
export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

/**
 * Make the children of `parent` those of `items`, in their order. A child stays the same node as long as its key
 * stays, so focus and selection survive. `make(item)` gives a node, `update(node, item)` brings it up to date.
 */
export function keyed(parent, items, keyOf, make, update) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const node = before.get(key) ?? make(item);
    node.dataset.key = key;
    before.delete(key);
    update(node, item);
    return node;
  });
  for (const node of before.values()) node.remove();
  let cursor = parent.firstChild;
  for (const node of wanted) {
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
  }
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus();
}

/** Facts as a list of terms; what is empty is left out. */
export function facts(node, pairs) {
  const rows = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  keyed(node, rows, ([label]) => label,
    ([label]) => el("div", {}, el("dt", {}, label), el("dd")),
    (row, [, value]) => {
      const place = row.lastChild;
      if (value instanceof Node) {
        if (place.firstChild !== value) fill(place, value);
      } else say(place, String(value));
    });
}
