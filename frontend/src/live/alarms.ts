import { ApiError } from "../api.ts";
import type { Alarm, Board } from "./board.ts";
import type { Polled } from "./poller.ts";

export type Trouble = { title: string; detail: string; bad: boolean };

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
  job_kills_workers: () => "A job kills each worker that starts it",
  consumer_stood_still: (about) => `Worker ${about} stood still on Kafka and was set going again`,
  redis_refuses_writes: () => "Redis refuses to write",
  redis_refused: () => "Redis refused to write",
  stream_meddled_with: () => "Somebody meddled with the stream",
  stream_entries_deleted: () => "Somebody deleted entries of the stream",
  stream_group_destroyed: () => "Somebody destroyed the stream's group",
  broker_lost_jobs: (about) => `${ABOUT[about] ?? about} lost jobs before they ran; they are sent again`,
  ledger_emptied: () => "Redis was emptied, or went back to an older state",
  redis_memory: () => "Redis is nearly full",
  redis_evicts: () => "Redis may throw jobs away",
  redis_forgets: () => "Redis keeps nothing over a restart",
};

const MILD = new Set(["worker_lost", "redis_memory", "redis_forgets", "stream_meddled_with", "consumer_stood_still"]);

const toTrouble = ({ alarm, about, detail, remedy }: Alarm): Trouble => ({
  title: TITLES[alarm]?.(about) ?? `${ABOUT[about] ?? about}: ${alarm.replaceAll("_", " ")}`,
  detail: remedy ? `${detail}. ${remedy}` : detail,
  bad: !MILD.has(alarm),
});

/** What somebody should look at now, the worst first. */
export function troubles({ data, error }: Polled<Board>, late: boolean): Trouble[] {
  const told = (data?.alarms ?? []).map(toTrouble).toSorted((a, b) => Number(b.bad) - Number(a.bad));
  if (!error && !late) return told;
  if (error instanceof ApiError && error.status === 401) {
    return [...told, { title: "A key is needed to see how things are", detail: "Enter it with the button above", bad: false }];
  }
  const why = error ? `${error.message}; trying again` : "Waiting for an answer";
  const detail = `${why}. Bookings are taken and done without it; Jobs and Dead letters do not need it either.`;
  const so = data ? "these figures are old" : "how things are is not known";
  return [{ title: `Monitoring does not answer: ${so}`, detail, bad: true }, ...told];
}
