import { type FeedEvent, isBye, isReset, toEvent } from "../follow/events.ts";
import { listen, pause, visible, whileVisible } from "./listen.ts";

type Frame = (events: FeedEvent[]) => void;

const FRAME_MS = 100;
const RETRY_MS = 2000;
const listeners = new Set<Frame>();
let stop: AbortController | null = null;

async function keepListening(signal: AbortSignal): Promise<void> {
  let [waiting, last]: [FeedEvent[], string] = [[], ""];
  const flush = () => {
    if (waiting.length === 0) return;
    const frame = waiting;
    waiting = [];
    for (const listener of listeners) listener(frame);
  };
  const timer = setInterval(flush, FRAME_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  while (!signal.aborted) {
    await visible(signal);
    await listen(
      "/api/events",
      last,
      (message) => {
        if (message.id) last = message.id;
        const event = isBye(message) || isReset(message) ? null : toEvent(message);
        if (event) waiting.push(event);
      },
      () => undefined,
      whileVisible(signal),
    ).catch(() => undefined);
    // What happened while nobody looked is of no interest: the figures say it.
    if (document.hidden) last = "";
    await pause(RETRY_MS * (0.75 + Math.random() / 2), signal);
  }
}

/** Every change of every job, in frames, over one connection however many parts of the page listen. */
export function onEvents(frame: Frame): () => void {
  listeners.add(frame);
  if (!stop) {
    stop = new AbortController();
    void keepListening(stop.signal);
  }
  return () => {
    listeners.delete(frame);
    if (listeners.size > 0) return;
    stop?.abort();
    stop = null;
  };
}
