import { useEffect, useState } from "react";
import { pause, visible } from "../live/listen.ts";
import { isFinal, toError } from "./follow.ts";

const AGAIN_MS = 2000;

export type Once<T> = { data: T | null; error: Error | null };

/** Reads what stays as it is: until it is had, every 2 s; not again where that cannot help. */
export async function once<T>(
  read: (signal: AbortSignal) => Promise<T>,
  tell: (told: Once<T>) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const data = await read(signal);
      return signal.aborted ? undefined : tell({ data, error: null });
    } catch (cause) {
      if (signal.aborted) return undefined;
      const error = toError(cause);
      tell({ data: null, error });
      if (isFinal(error)) return undefined;
    }
    await pause(AGAIN_MS, signal);
    await visible(signal);
  }
}

/** `read` must be the same function at every render; another one begins anew. */
export function useOnce<T>(read: (signal: AbortSignal) => Promise<T>): Once<T> {
  const [told, tell] = useState<Once<T>>({ data: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    void once(read, tell, stop.signal);
    return () => stop.abort();
  }, [read]);
  return told;
}
