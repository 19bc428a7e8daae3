import { useEffect, useSyncExternalStore } from "react";
import { useSession } from "../session/useSession.ts";
import { type Board, readBoard } from "./board.ts";
import { type Polled, nothingYet, poll } from "./poller.ts";

export const BOARD_MS = 2000;

let current: Polled<Board> = nothingYet;
let asking: ReturnType<typeof poll<Board>> | null = null;
let asked = 0;
const listeners = new Set<() => void>();

/** One request serves the head of the page and whatever stands below it. */
function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  asking ??= poll(readBoard, BOARD_MS, (change) => {
    current = change(current);
    for (const listener of listeners) listener();
  });
  return () => {
    listeners.delete(changed);
    if (listeners.size > 0) return;
    asking?.end();
    asking = null;
  };
}

/** A new key asks at once. */
export function useBoard(): Polled<Board> {
  const { round } = useSession();
  useEffect(() => {
    if (asked !== round) asking?.again();
    asked = round;
  }, [round]);
  return useSyncExternalStore(subscribe, () => current);
}
