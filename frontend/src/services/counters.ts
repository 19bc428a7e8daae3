import { BACKENDS, type Backend, answer, reason, record } from "../api.ts";

/** What all three lanes have in common, so that they can be compared; null where it is not known. */
export type Common = {
  waiting: number | null;
  active: number | null;
  done: number | null;
  dead: number | null;
  oldestSeconds: number | null;
  perSecond: number | null;
};

/** `figures` are the broker's own, last known, null when there never were any; `stale` says why they are not of now. */
export type LaneCounters = { common: Common; figures: Record<string, string | number> | null; stale: string };
export type Counters = { lanes: Record<Backend, LaneCounters>; overSeconds: number | null };

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

function toCommon(body: unknown, backend: Backend): Common {
  const [left, active] = [at(body, "backlog", backend), at(body, "workers", "running", backend)];
  return {
    waiting: left === null ? null : Math.max(0, left - (active ?? 0)),
    active,
    done: at(body, "metrics", "jobs", backend, "processed"),
    dead: at(body, "metrics", "jobs", backend, "failed"),
    oldestSeconds: at(body, "oldestAgeSeconds", backend),
    perSecond: at(body, "rates", backend, "completedPerSecond"),
  };
}

function toLane(body: unknown, backend: Backend): LaneCounters {
  const entries = Object.entries(record(record(record(body)["queues"])[backend])).filter(
    (entry): entry is [string, string | number] => typeof entry[1] === "number" || typeof entry[1] === "string",
  );
  const figures = entries.length > 0 ? Object.fromEntries(entries) : null;
  const stale = staleness(record(record(body)["staleness"])[backend]) || (figures ? "" : "No figures");
  return { common: toCommon(body, backend), figures, stale };
}

export function toCounters(body: unknown): Counters {
  const [rq, redisStreams, kafka] = BACKENDS;
  const lane = (backend: Backend) => toLane(body, backend);
  return {
    lanes: { rq: lane(rq), redisStreams: lane(redisStreams), kafka: lane(kafka) },
    overSeconds: at(body, "rates", "overSeconds"),
  };
}

export async function readCounters(signal: AbortSignal): Promise<Counters> {
  return toCounters((await answer("/monitoring/dashboard", {}, signal)).body);
}
