import { useCallback } from "react";
import { readBooked, toBooked } from "./booked.ts";
import { useOnce } from "./useOnce.ts";

const WIDE = new Set(["Stay", "Accepted"]);

/** Who booked what. */
export function Booked({ id }: { id: string }) {
  const read = useCallback((signal: AbortSignal) => readBooked(id, signal), [id]);
  const { data } = useOnce(read);
  return (
    <dl className="facts-list booked">
      {(data ?? toBooked(null)).map(([name, value]) => (
        <div key={name} className={WIDE.has(name) ? "wide" : undefined}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
