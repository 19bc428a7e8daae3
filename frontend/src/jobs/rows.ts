import type { Row } from "./api.ts";

/** Rows that somebody is at stay where they are: each gets its newest state, none comes and none goes. */
export function held(shown: Row[], came: Row[]): Row[] {
  const fresh = new Map(came.map((row) => [row.id, row]));
  return shown.map((row) => fresh.get(row.id) ?? row);
}

/** How many of those that came are not shown. */
export function news(shown: Row[], came: Row[]): number {
  const known = new Set(shown.map((row) => row.id));
  return came.filter((row) => !known.has(row.id)).length;
}

export type Told = { done: number; failed: string[] };

/** Does the same to many, a few at a time. */
export async function each<T>(
  items: readonly T[],
  act: (item: T) => Promise<void>,
  tell: (told: Told) => void,
  atATime = 6,
): Promise<Told> {
  let told: Told = { done: 0, failed: [] };
  const waiting = [...items];
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      try {
        await act(item);
        told = { ...told, done: told.done + 1 };
      } catch (cause) {
        told = { ...told, failed: [...told.failed, cause instanceof Error ? cause.message : String(cause)] };
      }
      tell(told);
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return told;
}

/** Complaints, the same ones told once with their number. */
export function summed(failed: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const why of failed) counts.set(why, (counts.get(why) ?? 0) + 1);
  return [...counts].map(([why, count]) => (count > 1 ? `${count} × ${why}` : why)).join("; ");
}
