import { useMemo } from "react";
import { BACKENDS, BACKEND_NAMES } from "../api.ts";
import { OVERVIEW, navigate, useQuery, withQuery } from "../route.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { brief, shortDuration } from "../ui/format.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Chart } from "./Chart.tsx";
import { type History, pick, readHistory } from "./history.ts";

const WINDOWS = [
  [300, "5 min"],
  [900, "15 min"],
  [3600, "1 h"],
  [21_600, "6 h"],
  [86_400, "24 h"],
] as const;
const [[SHORTEST]] = WINDOWS;

const READERS = new Map<number, ReturnType<typeof readHistory>>(WINDOWS.map(([each]) => [each, readHistory(each)]));
const FALLBACK = readHistory(SHORTEST);
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

/** The last minutes or hours of all lanes, drawn over each other. */
export function Charts() {
  const query = useQuery();
  const asked = Number(query.get("window"));
  const seconds = READERS.has(asked) ? asked : SHORTEST;
  const choose = (each: number) =>
    navigate(withQuery(OVERVIEW, query, { window: each === SHORTEST ? "" : String(each) }), { replace: true });
  const every = seconds > SHORTEST ? SLOW_MS : EVERY_MS;
  const { data, error, at } = usePoll(READERS.get(seconds) ?? FALLBACK, every);
  const history = data ?? NOTHING;
  const [rates, backlog, wait] = useMemo(() => FIGURES.map((name) => pick(history, name)), [history]);
  if (!rates || !backlog || !wait) return null;
  return (
    <section aria-labelledby="series">
      <div className="section-head">
        <h2 id="series">{seconds < 3600 ? "The last minutes" : "The last hours"}</h2>
        <Legend />
        <Freshness at={at} error={error} everyMs={every} quiet />
        <div className="buttons windows" role="group" aria-label="How far back">
          {WINDOWS.map(([each, name]) => (
            <button key={each} type="button" aria-pressed={each === seconds} onClick={() => choose(each)}>
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
