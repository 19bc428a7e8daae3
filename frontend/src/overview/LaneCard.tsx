import type { ReactNode } from "react";
import { BACKEND_NAMES, type Backend } from "../api.ts";
import type { Board, Common, Spread } from "../live/board.ts";
import { LETTERS } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { age, brief, count, duration, rate } from "../ui/format.ts";
import { Pipe } from "./Pipe.tsx";
import { level } from "./flow.ts";

const known = (value: number | null | undefined, write: (value: number) => string) =>
  value === null || value === undefined ? "–" : write(value);

function Level({ part }: { part: number }) {
  return (
    <svg className="level" aria-hidden="true" focusable="false">
      <rect className="ground" width="100%" height="100%" />
      <rect className="fill" width={`${part}%`} height="100%" />
    </svg>
  );
}

type StationProps = {
  name: string;
  value: number | null | undefined;
  more?: string;
  part?: number;
  stale?: boolean;
  children?: ReactNode;
};

function Station({ name, value, more, part, stale, children }: StationProps) {
  return (
    <dl className={`station ${name.toLowerCase()} ${stale ? "stale" : ""}`}>
      <dt>{name}</dt>
      <dd>
        <span className="figure" title={known(value, count)}>
          {known(value, brief)}
        </span>
        {more !== undefined && <span className="more">{more}</span>}
        {children}
        {part !== undefined && <Level part={part} />}
      </dd>
    </dl>
  );
}

const both = ({ p50, p99 }: Spread) => (p50 === null ? "–" : `${duration(p50)} / ${known(p99, duration)}`);

function Facts({ backend, common }: { backend: Backend; common: Common | undefined }) {
  const facts: [string, string][] = [
    ["Wait p50 / p99", common ? both(common.wait) : "–"],
    ["Run p50 / p99", common ? both(common.run) : "–"],
    ["Oldest due", known(common?.oldestSeconds, age)],
    ["Lag", backend === "rq" ? "no log" : known(common?.lag, brief)],
    ["Retries", known(common?.retriedPerSecond, rate)],
    ["Unsent", known(common?.unsent, count)],
  ];
  return (
    <dl className="lane-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

type StationsProps = { backend: Backend; common: Common | undefined; workersStale: boolean };

function Stations({ backend, common, workersStale }: StationsProps) {
  const [active, slots] = [common?.active ?? 0, common?.slots ?? 0];
  const done = common?.perSecond ?? 0;
  return (
    <div className="stations">
      <Station name="In" value={common?.acceptedPerSecond} more="/s" />
      <Pipe lane={backend} way="in" perSecond={common?.acceptedPerSecond ?? 0} />
      <Station name="Waiting" value={common?.waiting} part={level(common?.waiting ?? 0)} />
      <Pipe lane={backend} way="start" perSecond={done} />
      <Station
        name="Running"
        value={common?.active}
        more={`of ${known(common?.slots, brief)}`}
        part={slots > 0 ? (100 * active) / slots : 0}
        stale={workersStale}
      />
      <Pipe lane={backend} way="end" perSecond={done} />
      <div className="ends">
        <Station name="Done" value={common?.done} more={known(common?.perSecond, rate)} />
        <Station name="Died" value={common?.dead}>
          <Link to={`${LETTERS}?backend=${backend}`} className="more">
            letters
          </Link>
        </Station>
      </div>
    </div>
  );
}

type LaneCardProps = { backend: Backend; board: Board | null; paused: boolean };

/** One lane, left to right: what comes, waits, runs, and how it ends. */
export function LaneCard({ backend, board, paused }: LaneCardProps) {
  const lane = board?.lanes[backend];
  const stale = lane?.stale || (board?.ledgerStale && `What the ledger tells: ${board.ledgerStale}`);
  const running = board?.workersStale && `What the workers tell: ${board.workersStale}`;
  return (
    <section className={`card lane-card lane-${backend} ${stale ? "stale" : ""}`} aria-labelledby={`lane-${backend}`}>
      <div className="lane-head">
        <h3 id={`lane-${backend}`}>{BACKEND_NAMES[backend]}</h3>
        {paused && <span className="pill warn">paused</span>}
        <p className="silent">{stale || running}</p>
      </div>
      <Stations backend={backend} common={lane?.common} workersStale={Boolean(running)} />
      <Facts backend={backend} common={lane?.common} />
    </section>
  );
}
