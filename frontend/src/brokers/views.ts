import { type Json, answer, list, number, record, text } from "../api.ts";

const view = async (name: string, signal: AbortSignal): Promise<Json> =>
  (await answer(`/monitoring/queue/${name}`, {}, signal)).body;

/** Why what is shown is not of now; "" where it is. */
export function stale(body: Json): string {
  if (body["stale"] !== true) return "";
  const age = body["ageSeconds"];
  const from = typeof age === "number" ? `Stale, from ${Math.round(age)} s ago` : "No answer yet";
  return text(body["error"]) ? `${from}: ${text(body["error"])}` : from;
}

export type Member = { worker: string; host: string; partitions: string[] };
export type Partition = { topic: string; partition: number; end: number; begin: number; committed: number | null; lag: number };
export type KafkaView = { stale: string; topic: string; group: string; lag: number | null; partitions: Partition[]; members: Member[] };

function toPartition(value: unknown): Partition {
  const it = record(value);
  const committed = it["committed"];
  return {
    topic: text(it["topic"]),
    partition: number(it["partition"]),
    begin: number(it["beginOffset"]),
    end: number(it["endOffset"]),
    committed: typeof committed === "number" ? committed : null,
    lag: number(it["lag"]),
  };
}

function toMember(value: unknown): Member {
  const it = record(value);
  return { worker: text(it["worker"]), host: text(it["host"]), partitions: list(it["partitions"]).map(text) };
}

export function toKafka(body: Json): KafkaView {
  return {
    stale: stale(body),
    topic: text(body["topic"]),
    group: text(body["group"]),
    lag: typeof body["lag"] === "number" ? body["lag"] : null,
    partitions: list(body["partitions"]).map(toPartition),
    members: list(body["members"]).map(toMember),
  };
}

export type Pending = { id: string; consumer: string; idleMs: number; deliveries: number };
export type Recent = { streamId: string; type: string; messageId: string };
export type StreamView = { stale: string; stream: string; total: number | null; pending: Pending[]; recent: Recent[] };

export function toStreams(body: Json): StreamView {
  const pending = list(body["pendingMessages"]).map((each) => {
    const [id, consumer, idleMs, deliveries] = list(each);
    return { id: text(id), consumer: text(consumer), idleMs: number(idleMs), deliveries: number(deliveries) };
  });
  const recent = list(body["recentMessages"]).map((each) => {
    const it = record(each);
    return { streamId: text(it["streamId"]), type: text(it["type"]), messageId: text(it["messageId"]) };
  });
  const total = body["totalMessages"];
  return { stale: stale(body), stream: text(body["stream"]), total: typeof total === "number" ? total : null, pending, recent };
}

export const REGISTRIES = ["waiting", "active", "delayed", "failed", "completed"] as const;
export type Registry = (typeof REGISTRIES)[number];
export type RqJob = { id: string; name: string; note: string };
export type RqView = { stale: string; jobs: Record<Registry, RqJob[]> };

function note(registry: Registry, it: Json): string {
  if (registry === "active") return `${number(it["progress"])} %`;
  if (registry === "delayed") return `in ${Math.round(number(it["delay"]) / 1000)} s`;
  if (registry === "failed") return text(it["failedReason"]);
  return registry === "completed" ? text(record(it["returnvalue"])["confirmationNumber"]) : "";
}

export function toRq(body: Json): RqView {
  const of = (registry: Registry) =>
    list(body[registry]).map((each) => {
      const it = record(each);
      return { id: text(it["id"]), name: text(it["name"]), note: note(registry, it) };
    });
  const jobs = Object.fromEntries(REGISTRIES.map((each) => [each, of(each)])) as Record<Registry, RqJob[]>;
  return { stale: stale(body), jobs };
}

export const readKafka = async (signal: AbortSignal) => toKafka(await view("kafka", signal));
export const readStreams = async (signal: AbortSignal) => toStreams(await view("streams", signal));
export const readRq = async (signal: AbortSignal) => toRq(await view("rq", signal));

/** Partitions by topic: those of the levels, which are always shown, and those of retries, where something is in them. */
export function byTopic(partitions: readonly Partition[]): [topic: string, of: Partition[]][] {
  const topics = new Map<string, Partition[]>();
  for (const each of partitions) topics.set(each.topic, [...(topics.get(each.topic) ?? []), each]);
  const quiet = (of: Partition[]) => of.every((each) => each.lag === 0);
  return [...topics].filter(([topic, of]) => !topic.includes("-retry-") || !quiet(of));
}

/** Members of the group that no partition is left for. */
export const spare = (members: readonly Member[]) => members.filter((each) => each.partitions.length === 0);
