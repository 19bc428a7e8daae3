import { BACKENDS, BACKEND_NAMES, type Backend, type Booking } from "../api.ts";
import { duration } from "../ui/format.ts";
import { useNow } from "../ui/useNow.ts";
import { timeAxis } from "./axis.ts";
import { type FeedEvent, type Segment, segments } from "./events.ts";
import { lanesOf } from "./lanes.ts";

const FRAME_MS = 200;
const MOST_STEPS = 5;

type Row = { backend: Backend; segments: Segment[]; steps: { at: number; id: string; reused: boolean }[] };

/** A lane whose events are not known is drawn from its status. */
function fromStatus(booking: Booking, backend: Backend): Segment[] {
  const leg = booking.legs[backend];
  if (!leg || leg.enqueued === null) return [];
  const wait: Segment = { phase: "wait", from: leg.enqueued, to: leg.started ?? leg.finished };
  return leg.started === null ? [wait] : [wait, { phase: "run", from: leg.started, to: leg.finished }];
}

function toRow(booking: Booking, events: FeedEvent[], backend: Backend): Row {
  const seen = segments(events, backend);
  const steps = events.filter((each) => each.backend === backend && (each.kind === "step" || each.kind === "reused"));
  return {
    backend,
    segments: seen.length > 0 ? seen : fromStatus(booking, backend),
    steps: steps.map((each) => ({ at: each.at, id: each.id, reused: each.kind === "reused" })),
  };
}

const spent = (row: Row, phase: Segment["phase"], now: number) =>
  row.segments.filter((each) => each.phase === phase).reduce((sum, each) => sum + (each.to ?? now) - each.from, 0);

function inWords(rows: Row[], now: number): string {
  const lane = (row: Row) =>
    `${BACKEND_NAMES[row.backend]} waited ${duration(spent(row, "wait", now))}, ran ${duration(spent(row, "run", now))}`;
  return rows.length > 0 ? `Time each lane spent: ${rows.map(lane).join("; ")}` : "No times known yet";
}

/** Where there is little room, every other label goes; the ends stay. */
const sparse = (index: number, ticks: number) => index > 0 && (ticks - 1 - index) % 2 === 1;

const percent = (part: number, whole: number) => `${(100 * Math.max(0, part)) / whole}%`;

function Strip({ row, start, end, now }: { row: Row; start: number; end: number; now: number }) {
  return (
    <svg className="strip" aria-hidden="true" focusable="false">
      {row.segments.map((each) => (
        <rect
          key={`${each.phase} ${each.from}`}
          className={each.phase}
          x={percent(each.from - start, end)}
          width={percent((each.to ?? now) - each.from, end)}
          height="100%"
        />
      ))}
      {row.steps.map((step) => (
        <circle
          key={step.id}
          className={step.reused ? "reused" : "own"}
          cx={percent(step.at - start, end)}
          cy="50%"
          r="4"
        />
      ))}
    </svg>
  );
}

export function TimeChart({ booking, events, open }: { booking: Booking; events: FeedEvent[]; open: boolean }) {
  const clock = useNow(open ? FRAME_MS : null) + booking.skew;
  const known = lanesOf(booking);
  const rows = (known.length > 0 ? known : BACKENDS).map((backend) => toRow(booking, events, backend));
  const points = rows.flatMap((row) => row.segments.flatMap((each) => [each.from, each.to ?? each.from]));
  const start = points.length > 0 ? Math.min(...points) : 0;
  const latest = points.length > 0 ? Math.max(...points) : 0;
  const now = open && points.length > 0 ? Math.max(latest, clock) : latest;
  const axis = timeAxis(now - start, MOST_STEPS);

  return (
    <section className="card" aria-labelledby="when">
      <h2 id="when">Where the time went</h2>
      <div className="chart" role="img" aria-label={inWords(points.length > 0 ? rows : [], now)}>
        {rows.map((row) => (
          <div key={row.backend} className={`chart-row lane-${row.backend}`}>
            <span>{BACKEND_NAMES[row.backend]}</span>
            <Strip row={row} start={start} end={axis.end} now={now} />
          </div>
        ))}
        <div className="chart-row" aria-hidden="true">
          <span />
          <svg className="axis">
            {axis.ticks.map((tick, index) => (
              <g key={tick.at} className={sparse(index, axis.ticks.length) ? "sparse" : undefined}>
                <rect x={percent(tick.at, axis.end)} width="1" height="5" />
                <text x={percent(tick.at, axis.end)} y="18">
                  {points.length > 0 ? tick.label : ""}
                </text>
              </g>
            ))}
          </svg>
        </div>
      </div>
      <ul className="legend" aria-label="Legend">
        <li className="wait">waits</li>
        <li className="run">runs</li>
        <li className="retry">pauses before a retry</li>
        <li className="lost">worker lost</li>
        <li className="own">did a step</li>
        <li className="reused">found it done</li>
      </ul>
    </section>
  );
}
