import { type Told, answer, inDoubt, list, number, restAfter, send, text } from "../api.ts";
import type { BatchAnswer, BookingPage, NewBooking } from "../openapi/api.ts";
import type { FeedEvent } from "../follow/events.ts";
import { pause } from "../live/listen.ts";
import { type Draft, day, toBooking } from "./booking.ts";

export const AT_ONCE = 100;
/** How often a portion is sent whose answer does not come, and how long it rests before the next time. */
const TRIES = 3;
const AGAIN_MS = 2000;
/** Pages of the list beyond those that the burst itself fills: what others booked there meanwhile. */
const SPARE_PAGES = 10;
const DAY_MS = 86_400_000;
const WEEKS = 4;
const LONGEST_USER = 92;

const later = (iso: string, days: number) =>
  new Date(((day(iso) ?? 0) + days) * DAY_MS).toISOString().slice(0, 10);

/** As many as asked for, each of another user and, so that rooms do not run out, of other nights. */
export function bookings(draft: Draft, amount: number): NewBooking[] {
  const one = toBooking(draft);
  return Array.from({ length: amount }, (_, place) => {
    const days = (place % WEEKS) * 7;
    const lane = draft.backends[place % draft.backends.length];
    return {
      ...one,
      userId: `${one.userId.slice(0, LONGEST_USER)}-${place + 1}`,
      checkIn: later(one.checkIn, days),
      checkOut: later(one.checkOut, days),
      ...(draft.spread === "turns" && lane ? { backends: [lane] } : {}),
    };
  });
}

/** How far a burst is: `asked` were sent, `ids` accepted, the rest refused; `ended` tells what became of them. */
export type Progress = { asked: number; ids: ReadonlySet<string>; refused: number; why: string; ended: Record<string, number> };

/** What became of one portion. */
export type Sent = { asked: number; ids: string[]; refused: number; why: string };

export const begun: Progress = { asked: 0, ids: new Set(), refused: 0, why: "", ended: {} };

const ENDS = new Set(["confirmed", "rejected", "failed", "cancelled"]);

/** Sent again where no answer came, with the same key: so none of it is made twice. */
async function sendPortion(portion: readonly NewBooking[], key: string, signal: AbortSignal): Promise<Told<BatchAnswer>> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await send<BatchAnswer>("POST", "/api/bookings/batch", { bookings: portion }, key);
    } catch (cause) {
      if (!inDoubt(cause) || tries === TRIES || signal.aborted) throw cause;
      await pause(restAfter(cause, AGAIN_MS), signal);
    }
  }
}

/** Sends them in portions, each with a key of its own made of `key`; after each it tells what was accepted. Ends at the
 * first portion that fails as a whole. */
export async function sendBurst(
  all: readonly NewBooking[],
  key: string,
  tell: (answer: Sent) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let first = 0; first < all.length && !signal.aborted; first += AT_ONCE) {
    const portion = all.slice(first, first + AT_ONCE);
    const body = await sendPortion(portion, `${key}-${first}`, signal);
    if (signal.aborted) return;
    const items = list(body.items);
    const ids = items.map((it) => text(it?.bookingId)).filter(Boolean);
    const why = items.map((it) => text(it?.error)).find(Boolean) ?? "";
    tell({ asked: portion.length, ids, refused: number(body.refused), why });
  }
}

/** Why it went no further, and what is known of those that are not counted. */
export function halted(cause: unknown, left: number): string {
  const why = cause instanceof Error ? cause.message : String(cause);
  const last = Math.min(AT_ONCE, left);
  const rest = left > last ? " The rest was not sent." : "";
  const known = inDoubt(cause) ? `Whether the next ${last} were accepted is not known.${rest}` : "The rest was not accepted.";
  return `${why}. What is counted above was accepted. ${known} Book again, unchanged, and none is made twice.`;
}

/** Counts each booking's end once; `seen` remembers what came before its acceptance was told. */
export function counted(progress: Progress, ends: ReadonlyMap<string, string>): Progress["ended"] {
  const ended: Record<string, number> = {};
  for (const id of progress.ids) {
    const end = ends.get(id);
    if (end) ended[end] = (ended[end] ?? 0) + 1;
  }
  return ended;
}

export function endsOf(events: readonly FeedEvent[]): [id: string, end: string][] {
  return events.flatMap(({ job, kind }): [string, string][] => (job && ENDS.has(kind) ? [[job, kind]] : []));
}

/**
 * What became of those in `open`, by the list of jobs: for whoever missed some of the events. It has the newest first,
 * so `sent` bookings fill its first pages.
 */
export async function readEnds(
  hotel: string,
  open: ReadonlySet<string>,
  sent: number,
  signal: AbortSignal,
): Promise<[id: string, end: string][]> {
  const [ends, left]: [[string, string][], Set<string>] = [[], new Set(open)];
  let cursor: string | null = "";
  for (let pages = sent / AT_ONCE + SPARE_PAGES; cursor !== null && left.size > 0 && pages > 0; pages -= 1) {
    const query = new URLSearchParams({ q: hotel, limit: String(AT_ONCE), ...(cursor ? { cursor } : {}) });
    const { body }: { body: Told<BookingPage> } = await answer<BookingPage>(`/api/bookings?${query}`, {}, signal);
    for (const it of list(body.items)) {
      const [id, state] = [text(it?.bookingId), text(it?.state)];
      if (left.delete(id) && ENDS.has(state)) ends.push([id, state]);
    }
    cursor = text(body.nextCursor) || null;
  }
  return ends;
}
