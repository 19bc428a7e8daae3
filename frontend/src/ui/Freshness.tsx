import { ago } from "./format.ts";
import { isStale } from "./stale.ts";
import { useNow } from "./useNow.ts";

/** `quiet`: another line of the page says already that it is live, or why nothing is. */
type Props = { at: number | null; error: Error | null; everyMs: number; quiet?: boolean };

/** How old the figures are, and why they do not get newer. Takes one line, whatever it says. */
export function Freshness({ at, error, everyMs, quiet = false }: Props) {
  const now = useNow(1000);
  if (at === null && !error) return <p className="fresh">Loading…</p>;
  if (at === null) {
    return <p className="fresh wrong">Nothing received yet{!quiet && `: ${error?.message}; trying again`}</p>;
  }
  const stale = error !== null || isStale(at, now, everyMs);
  if (!stale) return <p className="fresh">{!quiet && `Live, every ${everyMs / 1000} s`}</p>;
  return (
    <p className="fresh stale">
      Stale: from {ago(at, now)}. {error ? `${error.message}; trying again` : "Waiting for an answer"}
    </p>
  );
}
