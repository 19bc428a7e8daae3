import { BACKEND_NAMES, toBackend } from "../api.ts";
import { many } from "../letters/api.ts";
import { type Row, canBeCancelled, cancel, deadLegs } from "./api.ts";
import { each, summed } from "./rows.ts";

/** Rows as they are read, or those that were chosen. */
type Pages = AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>;
/** Of one page of them. `so`: how many were tried, from the page's first on. */
type Act = (rows: readonly Row[], so: (tried: number) => void) => Promise<{ done: number; failed: readonly string[] }>;

export const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** All that the list's filters match, in words. */
export function allOf(query: URLSearchParams): string {
  const [state, backend, q] = [query.get("state"), toBackend(query.get("backend")), query.get("q")];
  const parts = [state && `that are ${state}`, backend && `on ${BACKEND_NAMES[backend]}`, q && `with “${q}”`];
  return ["all bookings", ...parts.filter(Boolean)].join(" ");
}

/** Of many requests one may fail after others went well. */
async function all(
  pages: Pages,
  act: Act,
  tell: (tried: number) => void,
  says: (done: number) => string,
): Promise<string> {
  let done = 0;
  const failed: string[] = [];
  try {
    for await (const rows of pages) {
      const before = done + failed.length;
      const told = await act(rows, (tried) => tell(before + tried));
      done += told.done;
      failed.push(...told.failed);
    }
  } catch (cause) {
    if (done === 0 || !(cause instanceof Error)) throw cause;
    throw new Error(`${says(done)}, then: ${cause.message}`, { cause });
  }
  return `${says(done)}.${failed.length > 0 ? ` ${failed.length} refused (${summed(failed)}).` : ""}`;
}

const cancelSome: Act = (rows, so) => {
  const able = rows.filter(canBeCancelled).map((row) => row.id);
  return each(able, cancel, ({ done, failed }) => so(done + failed.length));
};

const retrySome: Act = async (rows, so) => {
  const items = rows.flatMap(deadLegs);
  if (items.length === 0) return { done: 0, failed: [] };
  const { done, refused } = await many("redrive", { items }, "", so);
  return { done, failed: refused };
};

export const cancelAll = (pages: Pages, tell: (tried: number) => void) =>
  all(pages, cancelSome, tell, (done) => `${counted(done, "booking")} cancelled`);

export const retryAll = (pages: Pages, tell: (tried: number) => void) =>
  all(pages, retrySome, tell, (done) => `${counted(done, "lane")} sent again`);
