import { type Json, isRecord } from "../api.ts";

export type Line = { kind: "same" | "old" | "new"; text: string };

export const pretty = (value: unknown) => JSON.stringify(value, null, 2);

const LONGEST = 600; // lines; beyond them the middle is compared as one piece

const same = (text: string): Line => ({ kind: "same", text });
const old = (text: string): Line => ({ kind: "old", text });
const fresh = (text: string): Line => ({ kind: "new", text });

/** A comma that only says that more follows is no difference. */
const alike = (a: string | undefined, b: string | undefined) => a?.replace(/,$/, "") === b?.replace(/,$/, "");

/** What becomes of a text, line by line: kept, taken out, put in. */
export function diff(before: string, after: string): Line[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let [head, tail] = [0, 0];
  while (head < Math.min(a.length, b.length) && alike(a[head], b[head])) head += 1;
  while (tail < Math.min(a.length, b.length) - head && alike(a.at(-1 - tail), b.at(-1 - tail))) tail += 1;
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  return [...b.slice(0, head).map(same), ...middle, ...b.slice(b.length - tail).map(same)];
}

function between(a: string[], b: string[]): Line[] {
  if (a.length > LONGEST || b.length > LONGEST) return [...a.map(old), ...b.map(fresh)];
  const lengths = common(a, b);
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]];
    if (left !== undefined && right !== undefined && alike(left, right)) {
      lines.push(same(right));
      [i, j] = [i + 1, j + 1];
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(old(left));
      i += 1;
    } else {
      lines.push(fresh(right ?? ""));
      j += 1;
    }
  }
  return lines;
}

/** How long the longest common part of what follows is, from each pair of places on. */
function common(a: string[], b: string[]): number[][] {
  const lengths = Array.from({ length: a.length + 1 }, () => Array.from({ length: b.length + 1 }, () => 0));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    const [row, below] = [lengths[i] ?? [], lengths[i + 1] ?? []];
    for (let j = b.length - 1; j >= 0; j -= 1) {
      row[j] = alike(a[i], b[j]) ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0);
    }
  }
  return lengths;
}

/** A whole number that a browser has only nearly: JSON may hold it, what it is read into cannot. */
const rounded = (value: unknown): boolean =>
  typeof value === "number"
    ? Number.isInteger(value) && !Number.isSafeInteger(value)
    : typeof value === "object" && value !== null && Object.values(value).some(rounded);

const TOO_LARGE = "A number in it is too large for a browser and would be sent rounded: put it in quotes, or send it by curl";

/** The payload that stands in an editor, or what is wrong with it. */
export function parsePayload(text: string): { data: Json; error: "" } | { data: null; error: string } {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed)) return { data: null, error: "It must be a JSON object: { … }" };
    return rounded(parsed) ? { data: null, error: TOO_LARGE } : { data: parsed, error: "" };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    return { data: null, error: `Not JSON: ${why}` };
  }
}
