export type Polled<T> = { data: T | null; error: Error | null; at: number | null };

export const nothingYet = { data: null, error: null, at: null };

/**
 * Asks again and again, never twice at once, and not while nobody looks. What was last received stays when an answer
 * fails: `error` and `at` say how far it can be trusted. Between two it rests at least `rest` times as long as an answer
 * took. Returns what ends it, and what asks at once.
 */
export function poll<T>(
  read: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  tell: (change: (last: Polled<T>) => Polled<T>) => void,
  rest = 0,
): { end: () => void; again: () => void } {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [asking, more] = [false, false];

  const ask = async () => {
    clearTimeout(timer);
    if (asking) more = true;
    if (asking || stop.signal.aborted || document.hidden) return;
    [asking, more] = [true, false];
    const began = Date.now();
    try {
      const data = await read(stop.signal);
      if (!stop.signal.aborted) tell(() => ({ data, error: null, at: Date.now() }));
    } catch (cause) {
      if (stop.signal.aborted) return;
      const error = cause instanceof Error ? cause : new Error(String(cause));
      tell((last) => ({ ...last, error }));
    } finally {
      asking = false;
    }
    timer = setTimeout(ask, more ? 0 : Math.max(everyMs, rest * (Date.now() - began)));
  };

  void ask();
  document.addEventListener("visibilitychange", ask);
  return {
    again: () => void ask(),
    end: () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", ask);
    },
  };
}
