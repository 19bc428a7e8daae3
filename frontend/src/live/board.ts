import { BACKENDS, type Backend, answer, instant, list, reason, record, text, toBackend } from "../api.ts";

export type Spread = { p50: number | null; p95: number | null; p99: number | null };

/** What all three lanes have in common, so that they can be compared; null where it is not known. */
export type Common = {
  waiting: number | null;
  active: number | null;
  slots: number | null;
  done: number | null;
  dead: number | null;
  unsent: number | null;
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

export type Alarm = { alarm: string; about: string; detail: string; remedy: string };
export type Share = { type: string; share: number | null };

export type Board = {
  lanes: Record<Backend, Lane>;
  overSeconds: number | null;
  latencySeconds: number | null;
  workers: Worker[];
  /** How many the work asks for. */
  wanted: number | null;
  workersStale: string;
  lost: { id: string; seconds: number | null }[];
  alarms: Alarm[];
  sla: { seconds: number | null; types: Share[] };
};

function staleness(value: unknown): string {
  const { stale, ageSeconds, error } = record(value);
  if (stale !== true) return "";
  const age = typeof ageSeconds === "number" ? `Stale, from ${Math.round(ageSeconds)} s ago` : "No answer yet";
  return error ? `${age}: ${reason(error)}` : age;
}

/** The number at the end of a path through the answer. */
function at(value: unknown, ...path: string[]): number | null {
  const found = path.reduce<unknown>((here, name) => record(here)[name], value);
  return typeof found === "number" && Number.isFinite(found) ? found : null;
}

function spread(body: unknown, backend: Backend, what: string): Spread {
  const of = (name: string) => at(body, "latency", backend, what, name);
  return { p50: of("p50"), p95: of("p95"), p99: of("p99") };
}

function toCommon(body: unknown, backend: Backend): Common {
  const [left, active] = [at(body, "backlog", backend), at(body, "workers", "running", backend)];
  return {
    waiting: left === null ? null : Math.max(0, left - (active ?? 0)),
    active,
    slots: at(body, "workers", "capacity", backend),
    done: at(body, "metrics", "jobs", backend, "processed"),
    dead: at(body, "metrics", "jobs", backend, "failed"),
    unsent: at(body, "outbox", backend, "rows"),
    oldestSeconds: at(body, "oldestAgeSeconds", backend),
    acceptedPerSecond: at(body, "rates", backend, "acceptedPerSecond"),
    perSecond: at(body, "rates", backend, "completedPerSecond"),
    retriedPerSecond: at(body, "rates", backend, "retriedPerSecond"),
    wait: spread(body, backend, "wait"),
    run: spread(body, backend, "run"),
  };
}

function toLane(body: unknown, backend: Backend): Lane {
  const entries = Object.entries(record(record(record(body)["queues"])[backend])).filter(
    (entry): entry is [string, string | number] => typeof entry[1] === "number" || typeof entry[1] === "string",
  );
  const figures = entries.length > 0 ? Object.fromEntries(entries) : null;
  const stale = staleness(record(record(body)["staleness"])[backend]) || (figures ? "" : "No figures");
  return { common: toCommon(body, backend), figures, stale };
}

function byBackend(value: unknown): Record<Backend, number | null> {
  const of = (backend: Backend) => at(value, backend);
  return { rq: of("rq"), redisStreams: of("redisStreams"), kafka: of("kafka") };
}

function toWorker(value: unknown): Worker {
  const it = record(value);
  return {
    id: text(it["id"]),
    host: text(it["host"]),
    pid: text(it["pid"]),
    startedAt: instant(it["startedAt"]),
    seenSeconds: at(it, "lastHeartbeatSeconds"),
    running: byBackend(it["running"]),
    capacity: byBackend(it["capacity"]),
    processed: at(it, "processed"),
    failed: at(it, "failed"),
    memoryBytes: at(it, "memoryBytes"),
    cpuPercent: at(it, "cpuPercent"),
    jobs: Array.isArray(it["jobs"]) ? it["jobs"].flatMap(toWorkerJob) : null,
    partitions: Array.isArray(it["partitions"]) ? it["partitions"].map(text) : null,
    idle: text(it["idle"]),
    error: reason(it["error"]),
  };
}

function toWorkerJob(value: unknown): WorkerJob[] {
  const it = record(value);
  const backend = toBackend(it["backend"]);
  return backend ? [{ id: text(it["jobId"]), backend, type: text(it["type"]), seconds: at(it, "seconds") }] : [];
}

function toAlarm(value: unknown): Alarm {
  const it = record(value);
  return { alarm: text(it["alarm"]), about: text(it["about"]), detail: text(it["detail"]), remedy: text(it["remedy"]) };
}

export function toBoard(body: unknown): Board {
  const it = record(body);
  const [rq, redisStreams, kafka] = BACKENDS;
  const lane = (backend: Backend) => toLane(body, backend);
  const workers = record(it["workers"]);
  const types = Object.entries(record(record(record(it["metrics"])["sla"])["types"]));
  return {
    lanes: { rq: lane(rq), redisStreams: lane(redisStreams), kafka: lane(kafka) },
    overSeconds: at(body, "rates", "overSeconds"),
    latencySeconds: at(body, "latency", "overSeconds"),
    workers: list(workers["list"]).map(toWorker),
    wanted: at(workers, "desired", "count"),
    workersStale: staleness(record(it["staleness"])["workers"]),
    lost: list(workers["lost"]).map((each) => ({ id: text(record(each)["id"]), seconds: at(each, "lastSeenSeconds") })),
    alarms: list(it["alarms"]).map(toAlarm),
    sla: { seconds: at(body, "metrics", "sla", "slaSeconds"), types: types.map(([type, of]) => ({ type, share: at(of, "share") })) },
  };
}

export async function readBoard(signal: AbortSignal): Promise<Board> {
  return toBoard((await answer("/monitoring/dashboard", {}, signal)).body);
}
