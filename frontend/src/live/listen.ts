import { problem } from "../api.ts";
import { type Message, sseParser } from "./sse.ts";

const SILENCE_MS = 45_000;
/** So long a flood may be read at a stretch; then the browser gets its turn, to paint and to hear people. */
const STRETCH_MS = 10;

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Aborts once nobody looks: a browser has few connections to one origin, and hidden pages are not to hold them. */
export function whileVisible(signal: AbortSignal): AbortSignal {
  const hidden = new AbortController();
  const check = () => document.hidden && hidden.abort();
  document.addEventListener("visibilitychange", check, { signal: AbortSignal.any([signal, hidden.signal]) });
  check();
  return AbortSignal.any([signal, hidden.signal]);
}

export function visible(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const check = () => (!document.hidden || signal.aborted) && resolve();
    document.addEventListener("visibilitychange", check, { signal });
    signal.addEventListener("abort", check, { once: true });
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
    let began = performance.now();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE_MS);
      feed(part.value);
      if (performance.now() - began < STRETCH_MS) continue;
      await pause(0, both);
      began = performance.now();
    }
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}
