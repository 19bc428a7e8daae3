import { useEffect, useSyncExternalStore } from "react";
import { onKey } from "../session/session.ts";
import { useSession } from "../session/useSession.ts";
import { type Board, readBoard } from "./board.ts";
import { type Polled, nothingYet, poll } from "./poller.ts";

export const BOARD_MS = 2000;

let current: Polled<Board> = nothingYet;
let asking: ReturnType<typeof poll<Board>> | null = null;
const listeners = new Set<() => void>();

function tell(next: Polled<Board>): void {
  current = next;
  for (const listener of listeners) listener();
}

const ask = () => poll(readBoard, BOARD_MS, (change) => tell(change(current)));

/** What another's key opened goes, and so does what is still asked for with it. */
onKey((another) => {
  asking?.end();
  asking = null;
  if (another) tell(nothingYet);
});

/** One request serves the head of the page and whatever stands below it. */
function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  asking ??= ask();
  return () => {
    listeners.delete(changed);
    if (listeners.size > 0) return;
    asking?.end();
    asking = null;
  };
}

/** A new key asks at once, where it still opens what looks at the board. */
export function useBoard(): Polled<Board> {
  useSession();
  useEffect(() => void (asking ??= ask()));
  return useSyncExternalStore(subscribe, () => current);
}
