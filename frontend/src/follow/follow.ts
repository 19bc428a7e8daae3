import { ApiError, type Booking, eventsUrl, readBooking, restAfter } from "../api.ts";
import { listen, pause, visible, whileVisible } from "../live/listen.ts";
import { type FeedEvent, isBye, isReset, merge, toEvent } from "./events.ts";
import type { Message } from "../live/sse.ts";
import { atMostEvery } from "../live/throttle.ts";

export type Line = "connecting" | "live" | "broken";

export type Following = {
  booking: Booking | null;
  /** When `booking` was last received. */
  at: number | null;
  error: Error | null;
  events: FeedEvent[];
  /** Some of the history was never received: no longer kept, or dropped because this page was too slow. */
  cut: boolean;
  line: Line;
};

export const nothingYet: Following = {
  booking: null,
  at: null,
  error: null,
  events: [],
  cut: false,
  line: "connecting",
};

export type Change =
  | { type: "status"; booking: Booking; at: number }
  | { type: "failed"; error: Error }
  | { type: "events"; events: FeedEvent[] }
  | { type: "reset" }
  | { type: "line"; line: Line };

export function reduce(state: Following, change: Change): Following {
  switch (change.type) {
    case "status":
      return { ...state, booking: change.booking, at: change.at, error: null };
    case "failed":
      return { ...state, error: change.error };
    case "events":
      return { ...state, events: merge(state.events, change.events) };
    case "reset":
      return { ...state, cut: true };
    case "line":
      return state.line === change.line ? state : { ...state, line: change.line };
  }
}

const FRAME_MS = 100;
const POLL_MS = 2000;

/** Asking again cannot help: there is no such booking, or not for us. (After a 401 it can: the key may come.) */
export const isFinal = (error: unknown): boolean =>
  error instanceof ApiError && [400, 403, 404, 410, 422].includes(error.status);

export const toError = (cause: unknown) => (cause instanceof Error ? cause : new Error(String(cause)));

/**
 * Follows one booking until `signal` ends it: the status at once and after every event (merged to ten a second), the
 * events as they come, resumed where they broke off; while the stream is broken the status is asked for every 2 s.
 */
export function follow(id: string, tell: (change: Change) => void, stop: AbortSignal): void {
  const hopeless = new AbortController();
  const signal = AbortSignal.any([stop, hopeless.signal]);
  let [waiting, last]: [FeedEvent[], string] = [[], ""];
  let later: ReturnType<typeof setTimeout> | undefined;
  /** Where nobody looks any more it is asked for when somebody does: the stream begins anew then. */
  const again = () => void (document.hidden || refresh.call());

  const refresh = atMostEvery(FRAME_MS, async () => {
    if (waiting.length > 0) tell({ type: "events", events: waiting });
    waiting = [];
    clearTimeout(later);
    try {
      const booking = await readBooking(id, signal);
      tell({ type: "status", booking, at: Date.now() });
    } catch (cause) {
      if (signal.aborted) return;
      const error = toError(cause);
      tell({ type: "failed", error });
      if (isFinal(error)) hopeless.abort();
      else later = setTimeout(again, restAfter(error, POLL_MS));
    }
  });

  const on = (message: Message) => {
    if (message.id) last = message.id;
    if (isBye(message)) return;
    if (isReset(message)) {
      tell({ type: "reset" });
    } else {
      const event = toEvent(message);
      if (event) waiting.push(event);
    }
    refresh.call();
  };

  const keepListening = async () => {
    for (let tries = 0; !signal.aborted; tries += 1) {
      const open = () => {
        tries = 0;
        tell({ type: "line", line: "live" });
        refresh.call();
      };
      await visible(signal);
      const broken: unknown = await listen(eventsUrl(id), last, on, open, whileVisible(signal)).catch(
        (cause: unknown) => cause,
      );
      if (signal.aborted) return;
      // One that just broke off is usually there again at once: that is not worth a word.
      if (tries > 0) tell({ type: "line", line: "broken" });
      refresh.call();
      await pause(restAfter(broken, Math.min(POLL_MS, 250 * 2 ** tries) * (0.75 + Math.random() / 2)), signal);
    }
  };

  signal.addEventListener("abort", refresh.stop, { once: true });
  refresh.call();
  void keepListening();
}
