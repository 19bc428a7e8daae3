import { BACKENDS, type Backend, type Told, answer, bookingPath, instant, list, number, reason, text } from "../api.ts";
import type { BookingAnswer, BookingPage, LegAnswer } from "../openapi/api.ts";

export type RowLeg = { state: string; progress: number; attempts: number; error: string };

export type Row = {
  id: string;
  state: string;
  user: string;
  hotel: string;
  priority: string;
  createdAt: number | null;
  legs: Partial<Record<Backend, RowLeg>>;
};

/** `next` null: the end. `looked`: how many requests it took to fill it. */
export type Page = { key: string; rows: Row[]; next: string | null; looked: number };

export const PAGE = 25;
const MOST_REQUESTS = 8;
const MOST = 100; // a page that the gateway gives

export const STATES = {
  "The booking": ["accepted", "processing", "confirmed", "rejected", "failed", "cancelling", "cancelled"],
  "A lane of it": ["pending", "queued", "delayed", "active", "retrying", "completed", "dead"],
} as const;

const FINAL = new Set(["confirmed", "rejected", "failed", "cancelled"]);
const ENDED = new Set(["completed", "dead", "cancelled"]);

export const canBeCancelled = (row: Row) => !["failed", "rejected", "cancelled", "cancelling"].includes(row.state);

/** Its lanes that died: they can be sent again. */
export const deadLegs = ({ id, legs }: Row) =>
  BACKENDS.filter((backend) => legs[backend]?.state === "dead").map((backend) => ({ backend, id }));

export const isFinal = (row: Row) =>
  FINAL.has(row.state) && Object.values(row.legs).every((leg) => ENDED.has(leg.state));

function toLeg(leg: Told<LegAnswer>): RowLeg {
  return {
    state: text(leg.state) || "unknown",
    progress: number(leg.progress),
    attempts: number(leg.attempts),
    error: reason(leg.error),
  };
}

export function toRow(it: Told<BookingAnswer> | null): Row {
  const legs = BACKENDS.flatMap((backend) => {
    const leg = it?.status?.[backend];
    return leg ? [[backend, toLeg(leg)]] : [];
  });
  return {
    id: text(it?.bookingId),
    state: text(it?.state),
    user: text(it?.userId),
    hotel: text(it?.hotelId),
    priority: text(it?.priority),
    createdAt: instant(it?.createdAt),
    legs: Object.fromEntries(legs),
  };
}

async function onePage(query: URLSearchParams, signal?: AbortSignal): Promise<{ rows: Row[]; next: string | null }> {
  const { body } = await answer<BookingPage>(`/api/bookings?${query}`, {}, signal);
  return { rows: list(body.items).map(toRow), next: text(body.nextCursor) || null };
}

/** A filtered page may come short before the end is reached: then it goes on, but not for ever. */
export async function readPage(search: string, signal: AbortSignal): Promise<Page> {
  const query = new URLSearchParams(search);
  let [rows, next, looked]: [Row[], string | null, number] = [[], query.get("cursor"), 0];
  do {
    query.set("limit", String(PAGE - rows.length));
    if (next) query.set("cursor", next);
    const page = await onePage(query, signal);
    rows = [...rows, ...page.rows];
    [next, looked] = [page.next, looked + 1];
  } while (next && rows.length < PAGE && looked < MOST_REQUESTS);
  return { key: search, rows, next, looked };
}

/** Everything that the filters match, newest first, until `stop`. What comes meanwhile is newer, so not among it. */
export async function* matching(search: string, stop: AbortSignal): AsyncGenerator<Row[]> {
  const query = new URLSearchParams(search);
  query.set("limit", String(MOST));
  query.delete("cursor");
  while (!stop.aborted) {
    const page = await onePage(query);
    yield page.rows;
    if (!page.next) return;
    query.set("cursor", page.next);
  }
}

export async function readRow(id: string, signal: AbortSignal): Promise<Row> {
  return toRow((await answer<BookingAnswer>(bookingPath(id), {}, signal)).body);
}

export async function cancel(id: string): Promise<void> {
  await answer(bookingPath(id), { method: "DELETE" });
}
