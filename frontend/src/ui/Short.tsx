import { ago } from "./format.ts";

/** The beginning of an id, enough to tell it from its neighbours; all of it where the pointer rests. */
export const JobId = ({ id }: { id: string }) => <code title={id}>{id.slice(0, 8)}</code>;

/** How long ago; the time itself where the pointer rests. */
export function When({ at, now }: { at: number | null; now: number }) {
  if (at === null) return null;
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {ago(at, now)}
    </time>
  );
}
