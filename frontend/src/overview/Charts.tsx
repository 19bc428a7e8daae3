import { useMemo, useState } from "react";
import { BACKENDS, BACKEND_NAMES } from "../api.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { brief, shortDuration } from "../ui/format.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Chart } from "./Chart.tsx";
import { type History, pick, readHistory } from "./history.ts";

const WINDOWS = [
  [300, "5 min"],
  [900, "15 min"],
  [3600, "1 h"],
] as const;

const READERS = new Map(WINDOWS.map(([seconds]) => [seconds, readHistory(seconds)]));
const FALLBACK = readHistory(300);
const EVERY_MS = 2000;
const SLOW_MS = 10_000;
const NOTHING: History = { times: [], columns: {} };

const FIGURES = ["completedPerSecond", "backlog", "waitP99Ms"];

function Legend() {
  return (
    <ul className="chart-legend" aria-hidden="true">
      {BACKENDS.map((backend) => (
        <li key={backend} className={`lane-${backend} ${backend}`}>
          {BACKEND_NAMES[backend]}
        </li>
      ))}
    </ul>
  );
}

/** The last minutes of all lanes, drawn over each other. */
export function Charts() {
  const [seconds, setSeconds] = useState<(typeof WINDOWS)[number][0]>(300);
  const every = seconds > 300 ? SLOW_MS : EVERY_MS;
  const { data, error, at } = usePoll(READERS.get(seconds) ?? FALLBACK, every);
  const history = data ?? NOTHING;
  const [rates, backlog, wait] = useMemo(() => FIGURES.map((name) => pick(history, name)), [history]);
  if (!rates || !backlog || !wait) return null;
  return (
    <section aria-labelledby="series">
      <div className="section-head">
        <h2 id="series">The last minutes</h2>
        <Legend />
        <Freshness at={at} error={error} everyMs={every} quiet />
        <div className="buttons windows" role="group" aria-label="How far back">
          {WINDOWS.map(([each, name]) => (
            <button key={each} type="button" aria-pressed={each === seconds} onClick={() => setSeconds(each)}>
              {name}
            </button>
          ))}
        </div>
      </div>
      <div className={`charts ${error && data ? "old" : ""}`}>
        <Chart title="Done a second" series={rates} write={brief} least={1} seconds={seconds} />
        <Chart title="Unfinished" series={backlog} write={brief} least={5} seconds={seconds} />
        <Chart title="Wait, p99" series={wait} write={shortDuration} least={10} seconds={seconds} />
      </div>
    </section>
  );
}
