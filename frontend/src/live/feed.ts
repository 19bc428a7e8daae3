import { ApiError, restAfter } from "../api.ts";
import { type FeedEvent, isBye, isReset, toEvent } from "../follow/events.ts";
import type { Need } from "../session/may.ts";
import { listen, pause, visible, whileVisible } from "./listen.ts";

/** What a key has to have to hear them. */
export const EVENTS: Need = { scope: "bookings:read" };

type Frame = (events: FeedEvent[]) => void;

/** `missed`: events may have been passed over, so whoever counts on each reads the state again. */
type Listener = { frame: Frame; missed: () => void };

const FRAME_MS = 100;
const RETRY_MS = 2000;
const listeners = new Set<Listener>();
let stop: AbortController | null = null;

function tellMissed(): void {
  for (const { missed } of listeners) missed();
}

const forbidden = (cause: unknown) => cause instanceof ApiError && cause.status === 403;

/** Until `signal` ends it, or the key in use does not open the stream: asking again changes nothing about that. */
async function keepListening(signal: AbortSignal): Promise<void> {
  let [waiting, last]: [FeedEvent[], string] = [[], ""];
  const flush = () => {
    if (waiting.length === 0) return;
    const events = waiting;
    waiting = [];
    for (const { frame } of listeners) frame(events);
  };
  const timer = setInterval(flush, FRAME_MS);
  while (!signal.aborted) {
    await visible(signal);
    const broken: unknown = await listen(
      "/api/events",
      last,
      (message) => {
        if (message.id) last = message.id;
        if (isReset(message)) tellMissed();
        const event = isBye(message) || isReset(message) ? null : toEvent(message);
        if (event) waiting.push(event);
      },
      () => last || tellMissed(),
      whileVisible(signal),
    ).catch((cause: unknown) => cause);
    if (forbidden(broken)) break;
    await pause(restAfter(broken, RETRY_MS * (0.75 + Math.random() / 2)), signal);
  }
  clearInterval(timer);
}

/**
 * Every change of every job, in frames, over one connection however many parts of the page listen. It rests while
 * nobody looks at the page, and goes on where it was; what cannot be had any more is told as `missed`.
 */
export function onEvents(frame: Frame, missed: () => void = () => undefined): () => void {
  const listener = { frame, missed };
  listeners.add(listener);
  if (!stop) {
    const own = (stop = new AbortController());
    void keepListening(own.signal).finally(() => {
      if (stop === own) stop = null;
    });
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    stop?.abort();
    stop = null;
  };
}
