import { BACKEND_NAMES, type Backend, instant, isRecord, number, reason, text, toBackend } from "../api.ts";
import type { Message } from "../live/sse.ts";

/** One line of a booking's history. */
export type FeedEvent = {
  id: string;
  job: string;
  kind: string;
  at: number;
  backend: Backend | null;
  step: string;
  by: Backend | null;
  /** Of a dead letter that was moved. */
  to: Backend | null;
  /** Of the acceptance: its first lanes; [] where it does not tell. */
  lanes: Backend[];
  attempt: number;
  /** How often this attempt was begun: more than once after a worker died with it. */
  starts: number;
  worker: string;
  error: string;
  due: number | null;
  /** Of a compensation: what was given back, null where the event does not say. */
  refunded: number | null;
};

/** The event in a message, whether bare or in a CloudEvents envelope; null when it is none. */
export function toEvent(message: Message): FeedEvent | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(message.data);
  } catch {
    return null;
  }
  if (!isRecord(parsed)) return null;
  const envelope = parsed;
  const body = isRecord(envelope["data"]) ? envelope["data"] : envelope;
  const named = text(body["event"]) || text(envelope["type"]).split(".").at(-1) || message.event;
  const at = instant(body["at"]) ?? instant(envelope["time"]);
  const id = message.id || text(envelope["id"]);
  if (at === null || !named) return null;
  return {
    id,
    job: text(body["jobId"]) || text(envelope["subject"]),
    kind: named,
    at,
    backend: toBackend(body["backend"]),
    step: text(body["step"]),
    by: toBackend(body["by"]),
    to: toBackend(body["to"]),
    lanes: text(body["backends"])
      .split(",")
      .flatMap((name) => toBackend(name) ?? []),
    attempt: number(body["attempt"]),
    starts: number(body["starts"]),
    worker: text(body["worker"]),
    error: reason(body["error"]),
    due: instant(body["due"]),
    refunded: typeof body["refunded"] === "number" ? body["refunded"] : null,
  };
}

/** Stream ids ("1763780000000-3") by their two numbers; anything else by its time alone. */
function order(a: FeedEvent, b: FeedEvent): number {
  const [one, two] = [a.id.split("-").map(Number), b.id.split("-").map(Number)];
  const byId = (one[0] ?? 0) - (two[0] ?? 0) || (one[1] ?? 0) - (two[1] ?? 0);
  return byId || a.at - b.at;
}

const KEPT = 500;

/** The history with what newly came: each event once, in order, bounded. */
export function merge(known: FeedEvent[], came: FeedEvent[]): FeedEvent[] {
  const ids = new Set(known.map((each) => each.id).filter(Boolean));
  const fresh = came.filter((each) => {
    if (!each.id) return true;
    if (ids.has(each.id)) return false;
    ids.add(each.id);
    return true;
  });
  if (fresh.length === 0) return known;
  return [...known, ...fresh].toSorted(order).slice(-KEPT);
}

/** `lost`: from a dead worker's last word until another takes over. */
export type Phase = "wait" | "run" | "retry" | "lost";
export type Segment = { phase: Phase; from: number; to: number | null };

const PHASE_AFTER: Record<string, Phase | "end"> = {
  accepted: "wait",
  adopted: "wait",
  queued: "wait",
  delayed: "wait",
  limited: "wait",
  released: "wait",
  redriven: "wait",
  started: "run",
  retrying: "retry",
  completed: "end",
  dead: "end",
  cancelled: "end",
};

/** What a lane did when, from its events: waits, runs, pauses before a retry. The last one is open while it goes on. */
export function segments(events: FeedEvent[], lane: Backend): Segment[] {
  const found: Segment[] = [];
  let heard = 0;
  const begin = (phase: Phase, from: number, to: number | null = null) => found.push({ phase, from, to });
  for (const { kind, backend: of, lanes, at } of events) {
    const mine = kind === "accepted" ? lanes.length === 0 || lanes.includes(lane) : of === lane;
    if (!mine) continue;
    const next = PHASE_AFTER[kind];
    const open = found.at(-1)?.to === null ? found.at(-1) : undefined;
    const takenOver = next === "run" && open?.phase === "run";
    if (next && (open?.phase !== next || takenOver)) {
      if (open) open.to = takenOver ? heard : at;
      if (takenOver) begin("lost", heard, at);
      if (next !== "end") begin(next, at);
    }
    heard = at;
  }
  return found;
}

export type Gone = Partial<Record<Backend, string>>;

/** What became of the dead letters that are in the inbox no more. */
export function gone(events: FeedEvent[]): Gone {
  const found: Gone = {};
  for (const { kind, backend, to } of events) {
    if (!backend) continue;
    if (kind === "moved") found[backend] = to ? `Ran again on ${BACKEND_NAMES[to]}` : "Ran again elsewhere";
    else if (kind === "discarded") found[backend] = "Its dead letter was discarded";
    else if (kind === "dead" || kind === "redriven") delete found[backend];
  }
  return found;
}

/** Messages that speak of the stream itself. */
export const isReset = (message: Message) => message.event === "reset";
export const isBye = (message: Message) => message.event === "bye";
