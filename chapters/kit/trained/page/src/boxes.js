// Out of all boxes that a detector gives: those that are sure enough, and of each object only the surest.
const LEAST = 0.3; // score from which on a box is shown
const OVERLAP = 0.45; // of a box with a surer one of its class, above which it is taken for the same object's

/**
 * Non-maximum suppression within each class, as `python -m chapters detect` has it from MXNet's box_nms.
 *
 * boxes: A times left, top, right, bottom, in parts of the picture; scores: A times one for each class. Returns
 * [{ label, score, box }], the surest first.
 */
export function suppressed(boxes, scores) {
  const classes = scores.length / (boxes.length / 4), kept = [];
  const sure = [...scores.keys()].filter((at) => scores[at] >= LEAST).sort((one, other) => scores[other] - scores[one]);
  for (const at of sure) {
    const number = Math.floor(at / classes), label = at % classes, box = [...boxes.slice(4 * number, 4 * number + 4)];
    if (kept.some((other) => other.label === label && overlap(other.box, box) > OVERLAP)) continue;
    kept.push({ label, score: scores[at], box });
  }
  return kept;
}

/** Intersection over union. */
function overlap(one, other) {
  const side = (edge) => Math.max(0, Math.min(one[edge + 2], other[edge + 2]) - Math.max(one[edge], other[edge]));
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  const both = side(0) * side(1);
  return both / (area(one) + area(other) - both);
}
