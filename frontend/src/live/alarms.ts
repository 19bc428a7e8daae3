import { ApiError } from "../api.ts";
import type { Alarm, Board } from "./board.ts";
import type { Polled } from "./poller.ts";

/** `seconds`: how long ago it was, of what is over; null of what goes on. */
export type Trouble = { key: string; title: string; detail: string; remedy: string; seconds: number | null; bad: boolean };

/** What is down, and what that means for who sends bookings. */
const SOURCES: Record<string, string> = {
  workers: "The workers do not answer: their figures are old",
  ledger: "Redis, the ledger, does not answer: nothing is taken on until it does",
};

const ABOUT: Record<string, string> = { rq: "RQ", redisStreams: "Redis Streams", kafka: "Kafka" };

const TITLES: Record<string, (about: string) => string> = {
  source_stale: (about) => SOURCES[about] ?? `${ABOUT[about] ?? about} does not answer: its new jobs are kept and wait`,
  no_worker: () => "No worker runs: bookings are accepted and wait",
  worker_lost: (about) => `Worker ${about} is gone; its jobs run elsewhere`,
  worker_silent: (about) => `Worker ${about} does not answer`,
  outbox_late: (about) => `${ABOUT[about] ?? about} gets no jobs: they wait in the outbox`,
  lane_stands_still: (about) => `${ABOUT[about] ?? about} stands still: due work waits beside free workers`,
  job_kills_workers: () => "A job killed each worker that started it",
  consumer_stood_still: (about) => `Worker ${about} stood still on Kafka and was set going again`,
  redis_refuses_writes: () => "Redis refuses to write",
  redis_refused: () => "Redis refused to write",
  stream_entries_deleted: () => "Somebody deleted entries of the stream",
  stream_group_destroyed: () => "Somebody destroyed the stream's group",
  broker_lost_jobs: (about) => `${ABOUT[about] ?? about} lost jobs before they ran; they are sent again`,
  ledger_emptied: () => "Redis was emptied, or went back to an older state",
  redis_memory: () => "Redis is nearly full",
  redis_evicts: () => "Redis may throw jobs away",
  redis_forgets: () => "Redis keeps nothing over a restart",
};

/** Of what goes on, what can wait. */
const MILD = new Set(["worker_lost", "redis_memory", "redis_forgets"]);

/** Of what is over, what left something to do. */
const LASTING = new Set(["ledger_emptied", "job_kills_workers"]);

const toTrouble = ({ alarm, about, detail, remedy, seconds }: Alarm): Trouble => ({
  key: `${alarm} ${about} ${seconds === null}`,
  title: TITLES[alarm]?.(about) ?? `${ABOUT[about] ?? about}: ${alarm.replaceAll("_", " ")}`,
  detail: detail && remedy ? `${detail}.` : detail,
  remedy,
  seconds,
  bad: seconds === null ? !MILD.has(alarm) : LASTING.has(alarm),
});

const own = (title: string, detail: string, bad: boolean): Trouble => ({
  key: "monitoring",
  title,
  detail,
  remedy: "",
  seconds: null,
  bad,
});

/** What somebody should look at now, the worst first. */
export function troubles({ data, error }: Polled<Board>, late: boolean): Trouble[] {
  const told = (data?.alarms ?? []).map(toTrouble).toSorted((a, b) => Number(b.bad) - Number(a.bad));
  if (!error && !late) return told;
  if (error instanceof ApiError && error.status === 401) {
    return [...told, own("A key is needed to see how things are", "Enter it with the button above", false)];
  }
  const why = error ? `${error.message}; trying again` : "Waiting for an answer";
  const detail = `${why}. Bookings are taken and done without it; Jobs and Dead letters do not need it either.`;
  const so = data ? "these figures are old" : "how things are is not known";
  return [own(`Monitoring does not answer: ${so}`, detail, true), ...told];
}
