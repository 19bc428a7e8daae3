import { BACKENDS, type Backend, type Told, answer, instant, list, reason, record, text, toBackend } from "../api.ts";
import type { AlarmAnswer, DashboardAnswer, Percentiles, Staleness, WorkerAnswer } from "../openapi/monitoring.ts";

export type Spread = { p50: number | null; p95: number | null; p99: number | null };

/** What all three lanes have in common, so that they can be compared; null where it is not known. */
export type Common = {
  waiting: number | null;
  active: number | null;
  slots: number | null;
  done: number | null;
  dead: number | null;
  unsent: number | null;
  /** How far the group that reads a log is behind its end; null on RQ, which has none. */
  lag: number | null;
  oldestSeconds: number | null;
  acceptedPerSecond: number | null;
  perSecond: number | null;
  retriedPerSecond: number | null;
  wait: Spread;
  run: Spread;
};

/** `figures` are the broker's own, last known, null when there never were any; `stale` says why they are not of now. */
export type Lane = { common: Common; figures: Record<string, string | number> | null; stale: string };

export type Worker = {
  id: string;
  host: string;
  pid: string;
  startedAt: number | null;
  /** Seconds since its last heartbeat, where monitoring tells. */
  seenSeconds: number | null;
  running: Record<Backend, number | null>;
  capacity: Record<Backend, number | null>;
  processed: number | null;
  failed: number | null;
  memoryBytes: number | null;
  cpuPercent: number | null;
  /** What it runs, its Kafka partitions and why it has none: null or "" where monitoring does not tell. */
  jobs: WorkerJob[] | null;
  partitions: string[] | null;
  idle: string;
  error: string;
};

export type WorkerJob = { id: string; backend: Backend; type: string; seconds: number | null };

/** `seconds`: how long ago it happened; null of what goes on. */
export type Alarm = { alarm: string; about: string; detail: string; remedy: string; seconds: number | null };
type Dashboard = Told<DashboardAnswer>;
export type Share = { type: string; share: number | null };

export type Board = {
  lanes: Record<Backend, Lane>;
  overSeconds: number | null;
  latencySeconds: number | null;
  workers: Worker[];
  /** How many there are; null while nobody could tell. */
  count: number | null;
  /** How many the work asks for. */
  wanted: number | null;
  workersStale: string;
  /** Of what is done, died, came and waited. */
  ledgerStale: string;
  lost: { id: string; seconds: number | null }[];
  alarms: Alarm[];
  /** Of the jobs done in the last `overSeconds`. */
  sla: { seconds: number | null; overSeconds: number | null; types: Share[] };
};

/** Where a complaint begins with whose it is, which the page says already. */
const ADDRESS = /^https?:\/\/\S+ /;

/** Why what is told is not of now; "" where it is. */
export function staleness(it: Told<Staleness> | null | undefined): string {
  if (it?.stale !== true) return "";
  const age = typeof it.ageSeconds === "number" ? `Stale, from ${Math.round(it.ageSeconds)} s ago` : "No answer yet";
  return it.error ? `${age}: ${reason(it.error).replace(ADDRESS, "")}` : age;
}

const known = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

const spread = (of: Told<Percentiles> | null | undefined): Spread => ({
  p50: known(of?.p50),
  p95: known(of?.p95),
  p99: known(of?.p99),
});

function toCommon(body: Dashboard, backend: Backend): Common {
  const [rates, jobs, latency] = [body.rates?.[backend], body.metrics?.jobs?.[backend], body.latency?.[backend]];
  return {
    waiting: known(body.waiting?.[backend]),
    active: known(body.workers?.running?.[backend]),
    slots: known(body.workers?.capacity?.[backend]),
    done: known(jobs?.processed),
    dead: known(jobs?.failed),
    unsent: known(body.outbox?.[backend]?.rows),
    lag: known(body.lag?.[backend]),
    oldestSeconds: known(body.oldestAgeSeconds?.[backend]),
    acceptedPerSecond: known(rates?.acceptedPerSecond),
    perSecond: known(rates?.completedPerSecond),
    retriedPerSecond: known(rates?.retriedPerSecond),
    wait: spread(latency?.wait),
    run: spread(latency?.run),
  };
}

function toLane(body: Dashboard, backend: Backend): Lane {
  const entries = Object.entries(record(body.queues?.[backend])).filter(
    (entry): entry is [string, string | number] => typeof entry[1] === "number" || typeof entry[1] === "string",
  );
  const figures = entries.length > 0 ? Object.fromEntries(entries) : null;
  const stale = staleness(body.staleness?.[backend]) || (figures ? "" : "No figures");
  return { common: toCommon(body, backend), figures, stale };
}

function byBackend(value: { readonly [name: string]: number | null | undefined } | null | undefined): Record<Backend, number | null> {
  const of = (backend: Backend) => known(value?.[backend]);
  return { rq: of("rq"), redisStreams: of("redisStreams"), kafka: of("kafka") };
}

function toWorker(it: Told<WorkerAnswer> | null): Worker {
  return {
    id: text(it?.id),
    host: text(it?.host),
    pid: text(it?.pid),
    startedAt: instant(it?.startedAt),
    seenSeconds: known(it?.lastHeartbeatSeconds),
    running: byBackend(it?.running),
    capacity: byBackend(it?.capacity),
    processed: known(it?.processed),
    failed: known(it?.failed),
    memoryBytes: known(it?.memoryBytes),
    cpuPercent: known(it?.cpuPercent),
    jobs: it?.jobs ? it.jobs.flatMap(toWorkerJob) : null,
    partitions: it?.partitions ? it.partitions.map(text) : null,
    idle: text(it?.idle),
    error: reason(it?.error),
  };
}

function toWorkerJob(value: unknown): WorkerJob[] {
  const it = record(value);
  const backend = toBackend(it["backend"]);
  return backend ? [{ id: text(it["jobId"]), backend, type: text(it["type"]), seconds: known(it["seconds"]) }] : [];
}

/** `now`: by the clock of who tells it. */
function toAlarm(it: Told<AlarmAnswer> | null, now: number | null): Alarm {
  const since = instant(it?.since);
  const seconds = since === null ? null : Math.max(0, ((now ?? since) - since) / 1000);
  return { alarm: text(it?.alarm), about: text(it?.about), detail: text(it?.detail), remedy: text(it?.remedy), seconds };
}

export function toBoard(body: Dashboard): Board {
  const [rq, redisStreams, kafka] = BACKENDS;
  const lane = (backend: Backend) => toLane(body, backend);
  const { workers } = body;
  const sla = body.metrics?.sla;
  return {
    lanes: { rq: lane(rq), redisStreams: lane(redisStreams), kafka: lane(kafka) },
    overSeconds: known(body.rates?.overSeconds),
    latencySeconds: known(body.latency?.overSeconds),
    workers: list(workers?.list).map(toWorker),
    count: known(workers?.count),
    wanted: known(workers?.desired?.count),
    workersStale: staleness(body.staleness?.["workers"]),
    ledgerStale: staleness(body.staleness?.["ledger"]),
    lost: list(workers?.lost).map((each) => ({ id: text(each?.id), seconds: known(each?.lastSeenSeconds) })),
    alarms: list(body.alarms).map((it) => toAlarm(it, instant(body.timestamp))),
    sla: {
      seconds: known(sla?.slaSeconds),
      overSeconds: known(sla?.overSeconds),
      types: Object.entries(sla?.types ?? {}).map(([type, of]) => ({ type, share: known(of?.share) })),
    },
  };
}

/** Nothing was ever sent; a lane of which nothing is known may have been used. */
export const untouched = ({ lanes }: Board) =>
  BACKENDS.every((backend) => {
    const { waiting, active, done, dead } = lanes[backend].common;
    return [waiting, active, done, dead].every((figure) => figure === 0);
  });

export async function readBoard(signal: AbortSignal): Promise<Board> {
  return toBoard((await answer<DashboardAnswer>("/monitoring/dashboard", {}, signal)).body);
}
