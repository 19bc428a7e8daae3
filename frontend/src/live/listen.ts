import { problem } from "../api.ts";
import { type Message, sseParser } from "./sse.ts";

const SILENCE_MS = 45_000;
/** So long a flood may be read at a stretch; then the browser gets its turn, to paint and to hear people. */
const STRETCH_MS = 10;

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

let looking: AbortController | null = null;

/** Aborts when the page is hidden. One serves all, so that a connection made again and again leaves nothing behind. */
function lookedAt(): AbortSignal {
  if (looking) return looking.signal;
  const own = (looking = new AbortController());
  const check = () => {
    if (!document.hidden) return;
    looking = null;
    own.abort();
  };
  document.addEventListener("visibilitychange", check, { signal: own.signal });
  check();
  return own.signal;
}

/** Aborts once nobody looks: a browser has few connections to one origin, and hidden pages are not to hold them. */
export function whileVisible(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, lookedAt()]);
}

export function visible(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = new AbortController();
    const check = () => {
      if (document.hidden && !signal.aborted) return;
      done.abort();
      resolve();
    };
    document.addEventListener("visibilitychange", check, { signal: done.signal });
    signal.addEventListener("abort", check, { signal: done.signal });
    check();
  });
}

/** Reads the event stream until it ends, is silent for too long, or is given up. */
export async function listen(
  url: string,
  after: string,
  on: (message: Message) => void,
  open: () => void,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let silence = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    const headers = { Accept: "text/event-stream", ...(after ? { "Last-Event-ID": after } : {}) };
    const response = await fetch(url, { headers, cache: "no-store", signal: both });
    if (!response.ok || !response.body) throw await problem(response);
    open();
    const feed = sseParser(on);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let busy = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE_MS);
      const began = performance.now();
      feed(part.value);
      // What was waited for the network does not count: the browser had its turn then.
      busy += performance.now() - began;
      if (busy < STRETCH_MS) continue;
      await pause(0, both);
      busy = 0;
    }
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}
