import { EVENTS, onEvents } from "../live/feed.ts";
import { pause } from "../live/listen.ts";
import { atMostEvery } from "../live/throttle.ts";
import type { NewBooking } from "../openapi/api.ts";
import { lacking } from "../session/may.ts";
import { onKey, snapshot as session } from "../session/session.ts";
import { type Progress, type Sent, begun, counted, endsOf, halted, readEnds, sendBurst } from "./burst.ts";
import { accepted } from "./key.ts";
import { keepOne } from "./useDraft.ts";

/** The burst that is sent, or was last: `unwatched` says why it is not shown what becomes of it, `error` what ended it early. */
export type Sending = Progress & { of: number; hotel: string; unwatched: string; sending: boolean; tookMs: number | null; error: string };

const COUNT_MS = 250;
const REREAD_MS = 2000;

/** The ends of a burst as they are heard of; those heard of before their acceptance are kept for it. */
function watch(hotel: string, signal: AbortSignal) {
  const ends = new Map<string, string>();
  const own = new Set<string>();
  let [sending, gap] = [true, false];
  const reread = atMostEvery(REREAD_MS, async () => {
    const open = new Set([...own].filter((id) => !ends.has(id)));
    try {
      for (const [id, end] of await readEnds(hotel, open, own.size, signal)) ends.set(id, end);
    } catch {
      reread.call();
    }
  });
  const forget = onEvents(
    (events) => {
      for (const [id, end] of endsOf(events)) if (sending || own.has(id)) ends.set(id, end);
    },
    () => {
      gap = true;
      reread.call();
    },
  );
  signal.addEventListener("abort", () => (forget(), reread.stop()), { once: true });
  return {
    ends,
    accepted: (ids: readonly string[]) => ids.forEach((id) => own.add(id)),
    /** All were sent: what was missed may be of those whose acceptance came later. */
    complete: () => {
      sending = false;
      for (const id of ends.keys()) if (!own.has(id)) ends.delete(id);
      if (gap) reread.call();
    },
  };
}

/** How many have ended. */
export const endedOf = (ended: Progress["ended"]) => Object.values(ended).reduce((sum, each) => sum + each, 0);

let current: Sending | null = null;
let stop = new AbortController();
const listeners = new Set<() => void>();

export const snapshot = () => current;

export function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

function tell(next: Sending | null): void {
  current = next;
  for (const listener of listeners) listener();
}

/** The browser asks whether to leave: what was not sent yet never would be. */
const stay = (event: Event) => event.preventDefault();

function giveUp(): void {
  stop.abort();
  window.removeEventListener("beforeunload", stay);
}

onKey((another) => {
  if (!another) return;
  giveUp();
  tell(null);
});

/** As often as can be seen, until all that was accepted has ended. */
function count(ends: ReadonlyMap<string, string>, own: AbortController): void {
  const timer = setInterval(() => {
    if (!current) return;
    const ended = counted(current, ends);
    tell({ ...current, ended });
    if (!current.sending && endedOf(ended) === current.ids.size) own.abort();
  }, COUNT_MS);
  own.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

function add({ asked, ids, refused, why }: Sent): void {
  if (!current) return;
  tell({
    ...current,
    asked: current.asked + asked,
    ids: new Set([...current.ids, ...ids]),
    refused: current.refused + refused,
    why: current.why || why,
  });
}

/** Sends them, and hears of what becomes of each where the key in use may know it, whichever page is looked at meanwhile. */
export async function sendAll(bookings: readonly NewBooking[], key: string): Promise<void> {
  giveUp();
  const own = (stop = new AbortController());
  const hotel = bookings[0]?.hotelId ?? "";
  const unwatched = lacking(session(), EVENTS);
  tell({ ...begun, of: bookings.length, hotel, unwatched, sending: true, tookMs: null, error: "" });
  window.addEventListener("beforeunload", stay);
  const watching = unwatched ? null : watch(hotel, own.signal);
  if (watching) count(watching.ends, own);
  const began = performance.now();
  // A moment's grace, so that the events are listened to before there are any.
  await pause(COUNT_MS, own.signal);
  let error = "";
  const told = (sent: Sent) => {
    watching?.accepted(sent.ids);
    add(sent);
  };
  await sendBurst(bookings, key, told, own.signal).catch((cause: unknown) => {
    error = halted(cause, bookings.length - (current?.asked ?? 0));
  });
  if (own.signal.aborted || !current) return;
  if (!error) {
    accepted();
    keepOne();
  }
  watching?.complete();
  window.removeEventListener("beforeunload", stay);
  tell({ ...current, sending: false, tookMs: performance.now() - began, error });
}
