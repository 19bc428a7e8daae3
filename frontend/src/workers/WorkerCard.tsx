import { BACKENDS, SHORT_NAMES } from "../api.ts";
import { stepTitle } from "../follow/lanes.ts";
import { JobLink } from "../live/JobLink.tsx";
import type { Worker } from "../live/board.ts";
import { age, ago, bytes, count } from "../ui/format.ts";
import { type Running, runsInAll } from "./api.ts";

const SHOWN = 6;
const known = (value: number | null, write: (value: number) => string) => (value === null ? "–" : write(value));

function Slots({ worker }: { worker: Worker }) {
  return (
    <ul className="slots" aria-label="Slots in use">
      {BACKENDS.map((backend) => {
        const [used, all] = [worker.running[backend], worker.capacity[backend]];
        return (
          <li key={backend} className={`lane-${backend}`}>
            <span>{SHORT_NAMES[backend]}</span>
            <svg className="level" aria-hidden="true" focusable="false">
              <rect className="ground" width="100%" height="100%" />
              <rect className="fill" width={`${used && all ? (100 * used) / all : 0}%`} height="100%" />
            </svg>
            <span>
              {known(used, count)} of {known(all, count)}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function Runs({ jobs, all }: { jobs: Running[]; all: number }) {
  if (all === 0) return <p className="note">Runs nothing just now.</p>;
  if (jobs.length === 0) return <p className="note">Which jobs it runs is not told.</p>;
  return (
    <ul className="runs">
      {jobs.slice(0, SHOWN).map((job) => (
        <li key={`${job.id} ${job.backend}`} className={`lane-${job.backend}`}>
          <JobLink id={job.id} type={job.type} />
          <span>{[stepTitle(job.step), job.seconds === null ? "" : age(job.seconds)].filter(Boolean).join(", ")}</span>
        </li>
      ))}
      {all > SHOWN && <li className="note">and {count(all - SHOWN)} more</li>}
    </ul>
  );
}

type Props = { worker: Worker; jobs: Running[]; partitions: string[] | null; now: number };

function facts({ worker, partitions, now }: Props): [string, string][] {
  return [
    ["Memory", known(worker.memoryBytes, bytes)],
    ["CPU", known(worker.cpuPercent, (value) => `${value.toFixed(1)} %`)],
    ["Done", known(worker.processed, count)],
    ["Failed", known(worker.failed, count)],
    ["Started", worker.startedAt === null ? "–" : ago(worker.startedAt, now)],
    ["Heartbeat", worker.seenSeconds === null ? "within 15 s" : `${age(worker.seenSeconds)} ago`],
    ["Partitions", partitions === null ? "–" : String(partitions.length)],
  ];
}

export function WorkerCard(props: Props) {
  const { worker, jobs, partitions } = props;
  return (
    <li className="card worker">
      <h2>
        <span>{worker.id}</span>
        <span className="aside">
          {worker.host}, pid {worker.pid}
        </span>
      </h2>
      {worker.error && <p className="silent">Does not answer: {worker.error}. Without a heartbeat it is gone soon.</p>}
      <Slots worker={worker} />
      <Runs jobs={jobs} all={runsInAll(worker, jobs)} />
      <dl className="facts-list">
        {facts(props).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {!worker.error && partitions !== null && partitions.length === 0 && (
        <p className="notice">
          {worker.idle ||
            "Its Kafka consumer is idle: every partition is read by exactly one worker, and there are fewer partitions " +
              "than workers. It takes over when another leaves."}{" "}
          RQ and streams use it all the same.
        </p>
      )}
      {partitions !== null && partitions.length > 0 && (
        <details>
          <summary>Its partitions</summary>
          <p className="parts">
            <code>{partitions.join("  ")}</code>
          </p>
        </details>
      )}
    </li>
  );
}
