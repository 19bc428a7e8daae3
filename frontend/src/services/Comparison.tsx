import { BACKENDS, BACKEND_NAMES, type Backend, SHORT_NAMES } from "../api.ts";
import { age, count } from "../ui/format.ts";
import type { Common, Counters } from "./counters.ts";

const rate = (value: number) => `${value < 10 ? value.toFixed(1) : count(Math.round(value))}/s`;

const ROWS: [key: keyof Common, label: string, write: (value: number) => string][] = [
  ["waiting", "Waiting", count],
  ["active", "Active", count],
  ["done", "Done", count],
  ["dead", "Dead", count],
  ["oldestSeconds", "Oldest", age],
  ["perSecond", "Rate", rate],
];

function Cell({ backend, name, counters }: { backend: Backend; name: (typeof ROWS)[number]; counters: Counters | null }) {
  const [key, , write] = name;
  const lane = counters?.lanes[backend];
  const value = lane?.common[key] ?? null;
  const tone = key === "dead" && value ? "wrong" : "";
  return <td className={lane?.stale ? "stale" : tone}>{value === null ? "–" : write(value)}</td>;
}

/** The same six figures of each lane, next to each other at any width. */
export function Comparison({ counters }: { counters: Counters | null }) {
  const over = counters?.overSeconds;
  return (
    <div className="card compare">
      <table>
        <caption className="note">
          Done and dead since the ledger began; rate of the last {over ? `${over} s` : "seconds"}; oldest: the longest due
        </caption>
        <thead>
          <tr>
            <th scope="col">
              <span className="hidden">Figure</span>
            </th>
            {BACKENDS.map((backend) => (
              <th key={backend} scope="col" className={`lane-${backend}`}>
                <span className="long">{BACKEND_NAMES[backend]}</span>
                <span className="short" aria-hidden="true">
                  {SHORT_NAMES[backend]}
                </span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ROWS.map((row) => (
            <tr key={row[0]}>
              <th scope="row">{row[1]}</th>
              {BACKENDS.map((backend) => (
                <Cell key={backend} backend={backend} name={row} counters={counters} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
