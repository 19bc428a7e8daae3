import { useEffect, useReducer, useState } from "react";
import type { NewBooking } from "../openapi/api.ts";
import { EVENTS, onEvents } from "../live/feed.ts";
import { atMostEvery } from "../live/throttle.ts";
import { JOBS } from "../route.ts";
import { useLacking } from "../session/useSession.ts";
import { Link } from "../ui/Link.tsx";
import { count, duration } from "../ui/format.ts";
import { type Progress, type Sent, begun, counted, endsOf, readEnds, sendBurst } from "./burst.ts";

type Change = Partial<Pick<Progress, "asked" | "refused" | "why">> & { ids?: string[]; ends?: Map<string, string> };

function reduce(state: Progress, { asked = 0, refused = 0, why = "", ids = [], ends }: Change): Progress {
  const next = {
    ...state,
    asked: state.asked + asked,
    refused: state.refused + refused,
    why: state.why || why,
    ids: ids.length > 0 ? new Set([...state.ids, ...ids]) : state.ids,
  };
  return ends ? { ...next, ended: counted(next, ends) } : next;
}

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

/** Sends, and listens to what becomes of each where the key in use may know it. */
function useBurst(bookings: readonly NewBooking[], sent: () => void, watched: boolean) {
  const [progress, tell] = useReducer(reduce, begun);
  const [error, setError] = useState("");
  const [tookMs, setTook] = useState<number | null>(null);

  useEffect(() => {
    const stop = new AbortController();
    const watching = watched ? watch(bookings[0]?.hotelId ?? "", stop.signal) : null;
    const ends = watching?.ends ?? new Map<string, string>();
    const timer = setInterval(() => tell({ ends }), COUNT_MS);
    const began = performance.now();
    // A moment's grace, so that the events are listened to before there are any.
    const begin = setTimeout(async () => {
      try {
        const accepted = (answer: Sent) => {
          watching?.accepted(answer.ids);
          tell({ ...answer, ends });
        };
        await sendBurst(bookings, accepted, stop.signal);
      } catch (cause) {
        if (!stop.signal.aborted) setError(cause instanceof Error ? cause.message : String(cause));
      }
      if (stop.signal.aborted) return;
      watching?.complete();
      setTook(performance.now() - began);
      sent();
    }, COUNT_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
      clearTimeout(begin);
    };
    // oxlint-disable-next-line react/exhaustive-deps -- a burst is sent once
  }, [bookings]);

  return { progress, error, tookMs };
}

export function Burst({ bookings, sent }: { bookings: readonly NewBooking[]; sent: () => void }) {
  const lacking = useLacking(EVENTS);
  const { progress, error, tookMs } = useBurst(bookings, sent, !lacking);
  const accepted = progress.ids.size;
  const ended = Object.values(progress.ended).reduce((sum, each) => sum + each, 0);
  const hotel = bookings[0]?.hotelId ?? "";
  return (
    <section className="burst" aria-label="The burst">
      <p role="status">
        <strong>
          {count(accepted)} of {count(bookings.length)} accepted
        </strong>
        {tookMs !== null && ` in ${duration(tookMs)}`}
        {progress.refused > 0 && <span className="wrong">, {count(progress.refused)} refused: {progress.why}</span>}
      </p>
      <progress max={bookings.length} value={accepted} aria-label="accepted" />
      {lacking ? (
        <p className="note">What becomes of them is not shown. {lacking}.</p>
      ) : (
        <>
          <p>
            {count(ended)} ended{Object.entries(progress.ended).map(([end, of]) => `, ${count(of)} ${end}`)}
          </p>
          <progress max={bookings.length} value={ended} aria-label="ended" />
        </>
      )}
      <p className="wrong" role="alert">
        {error && `${error}. What is counted above was accepted; the rest was not sent.`}
      </p>
      {!lacking && (
        <p>
          <Link to={`${JOBS}?q=${encodeURIComponent(hotel)}`}>See them among the jobs</Link>
        </p>
      )}
    </section>
  );
}
