import { useCallback, useEffect, useRef, useState } from "react";
import { type Polled, nothingYet, poll } from "../live/poller.ts";
import { useSession } from "../session/useSession.ts";

/** `read` must be the same function at every render; another one begins anew. `again` asks at once, and so does a key. */
export function usePoll<T>(
  read: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  rest = 0,
): Polled<T> & { again: () => void } {
  const [polled, setPolled] = useState<Polled<T>>(nothingYet);
  const asking = useRef<ReturnType<typeof poll<T>>>(null);
  useEffect(() => {
    const begun = poll<T>(read, everyMs, setPolled, rest);
    asking.current = begun;
    return begun.end;
  }, [read, everyMs, rest]);
  const { round } = useSession();
  const asked = useRef(round);
  useEffect(() => {
    if (asked.current !== round) asking.current?.again();
    asked.current = round;
  }, [round]);
  const again = useCallback(() => asking.current?.again(), []);
  return { ...polled, again };
}
