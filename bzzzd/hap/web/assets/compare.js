// Which lines of two texts are not in the other, by their longest common run of lines.

const MOST = 2000;

/** Two sets of line numbers: those only in `a`, those only in `b`. Very long texts are compared line by line only. */
export function changes(a, b) {
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) first += 1;
  let last = 0;
  while (last < a.length - first && last < b.length - first && a[a.length - 1 - last] === b[b.length - 1 - last]) last += 1;
  const left = a.slice(first, a.length - last);
  const right = b.slice(first, b.length - last);
  const [gone, come] = left.length > MOST || right.length > MOST ? loose(left, right) : strict(left, right);
  const moved = (numbers) => new Set(numbers.map((number) => number + first));
  return [moved(gone), moved(come)];
}

function loose(left, right) {
  const [lefts, rights] = [new Set(left), new Set(right)];
  const missing = (lines, others) => lines.flatMap((line, number) => (others.has(line) ? [] : [number]));
  return [missing(left, rights), missing(right, lefts)];
}

function strict(left, right) {
  const width = right.length + 1;
  const best = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      best[i * width + j] = left[i] === right[j]
        ? best[(i + 1) * width + j + 1] + 1
        : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const gone = [];
  const come = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) { i += 1; j += 1; }
    else if (j >= right.length || (i < left.length && best[(i + 1) * width + j] >= best[i * width + j + 1])) { gone.push(i); i += 1; }
    else { come.push(j); j += 1; }
  }
  return [gone, come];
}
