import { useCallback } from "react";
import { readBooked, toBooked } from "./booked.ts";
import { useOnce } from "./useOnce.ts";

/** Who booked what. */
export function Booked({ id }: { id: string }) {
  const read = useCallback((signal: AbortSignal) => readBooked(id, signal), [id]);
  const { data } = useOnce(read);
  return (
    <dl className="facts-list booked">
      {(data ?? toBooked(null)).map(([name, value]) => (
        <div key={name} className={name === "Stay" ? "stay" : undefined}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
