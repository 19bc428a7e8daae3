import { useEffect, useState } from "react";

export type Polled<T> = { data: T | null; error: Error | null; at: number | null };

/**
 * Asks again and again, never twice at once, and not while nobody looks. What was last received stays when an answer
 * fails: `error` and `at` say how far it can be trusted. `read` must be the same function at every render.
 */
export function usePoll<T>(read: (signal: AbortSignal) => Promise<T>, everyMs: number): Polled<T> {
  const [polled, setPolled] = useState<Polled<T>>({ data: null, error: null, at: null });

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking = false;

    const ask = async () => {
      clearTimeout(timer);
      if (asking || stop.signal.aborted || document.hidden) return;
      asking = true;
      try {
        const data = await read(stop.signal);
        if (!stop.signal.aborted) setPolled({ data, error: null, at: Date.now() });
      } catch (cause) {
        if (stop.signal.aborted) return;
        const error = cause instanceof Error ? cause : new Error(String(cause));
        setPolled((last) => ({ ...last, error }));
      } finally {
        asking = false;
      }
      timer = setTimeout(ask, everyMs);
    };

    void ask();
    document.addEventListener("visibilitychange", ask);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [read, everyMs]);

  return polled;
}
