import { type Told, answer, list, number, record, text } from "../api.ts";
import { age } from "../ui/format.ts";
import { staleness } from "../live/board.ts";
import type { KafkaAnswer, PartitionAnswer, RqAnswer, RqRow, StreamsAnswer } from "../openapi/monitoring.ts";

const view = async <T>(name: string, signal: AbortSignal): Promise<Told<T>> =>
  (await answer<T>(`/monitoring/queue/${name}`, {}, signal)).body;

export type Member = { worker: string; host: string; partitions: string[] };
export type Partition = { topic: string; partition: number; end: number; begin: number; committed: number | null; lag: number };
export type KafkaView = { stale: string; broker: string; topic: string; group: string; lag: number | null; partitions: Partition[]; members: Member[] };

function toPartition(it: Told<PartitionAnswer> | null): Partition {
  return {
    topic: text(it?.topic),
    partition: number(it?.partition),
    begin: number(it?.beginOffset),
    end: number(it?.endOffset),
    committed: it?.committed ?? null,
    lag: number(it?.lag),
  };
}

function toMember(value: unknown): Member {
  const it = record(value);
  const partitions = it["partitions"];
  return { worker: text(it["worker"]), host: text(it["host"]), partitions: Array.isArray(partitions) ? partitions.map(text) : [] };
}

export function toKafka(body: Told<KafkaAnswer>): KafkaView {
  return {
    stale: staleness(body),
    broker: text(body.broker),
    topic: text(body.topic),
    group: text(body.group),
    lag: body.lag ?? null,
    partitions: list(body.partitions).map(toPartition),
    members: list(body.members).map(toMember),
  };
}

export type Pending = { id: string; consumer: string; idleMs: number; deliveries: number };
export type Recent = { streamId: string; type: string; messageId: string };
export type Consumer = { name: string; pending: number; idleMs: number };
export type StreamView = {
  stale: string;
  broker: string;
  stream: string;
  group: string;
  lag: number | null;
  consumers: Consumer[];
  pending: Pending[];
  recent: Recent[];
};

export function toStreams(body: Told<StreamsAnswer>): StreamView {
  const pending = list(body.pendingMessages).map((each) => {
    const [id, consumer, idleMs, deliveries] = each ?? [];
    return { id: text(id), consumer: text(consumer), idleMs: number(idleMs), deliveries: number(deliveries) };
  });
  const recent = list(body.recentMessages).map((each) => {
    const it = record(each);
    return { streamId: text(it["streamId"]), type: text(it["type"]), messageId: text(it["messageId"]) };
  });
  const consumers = list(body.consumers).map((it) => ({
    name: text(it?.name),
    pending: number(it?.pending),
    idleMs: number(it?.idleMs),
  }));
  return {
    stale: staleness(body),
    broker: text(body.broker),
    stream: text(body.stream),
    group: text(body.group),
    lag: body.lag ?? null,
    consumers,
    pending,
    recent,
  };
}

export const REGISTRIES = ["waiting", "active", "delayed", "failed", "completed"] as const;
export type Registry = (typeof REGISTRIES)[number];
export type RqJob = { id: string; name: string; note: string };
export type RqView = { stale: string; broker: string; jobs: Record<Registry, RqJob[]> };

function note(registry: Registry, it: Told<RqRow> | null): string {
  if (registry === "active") return `${number(it?.progress)} %`;
  if (registry === "delayed") return `in ${age(number(it?.delay) / 1000)}`;
  if (registry === "failed") return text(it?.failedReason);
  return registry === "completed" ? text(record(it?.returnvalue)["confirmationNumber"]) : "";
}

export function toRq(body: Told<RqAnswer>): RqView {
  const of = (registry: Registry) =>
    list(body[registry]).map((it) => ({ id: text(it?.id), name: text(it?.name), note: note(registry, it) }));
  const jobs = Object.fromEntries(REGISTRIES.map((each) => [each, of(each)])) as Record<Registry, RqJob[]>;
  return { stale: staleness(body), broker: text(body.broker), jobs };
}

export const readKafka = async (signal: AbortSignal) => toKafka(await view<KafkaAnswer>("kafka", signal));
export const readStreams = async (signal: AbortSignal) => toStreams(await view<StreamsAnswer>("streams", signal));
export const readRq = async (signal: AbortSignal) => toRq(await view<RqAnswer>("rq", signal));

/** What an empty table says: that there is nothing only where that is known. */
export const none = (of: { stale: string } | null, nothing: string): string =>
  of === null || of.stale ? "Not known." : nothing;

/** Partitions by topic: those of the levels, which are always shown, and those of retries, where something is in them. */
export function byTopic(partitions: readonly Partition[]): [topic: string, of: Partition[]][] {
  const topics = new Map<string, Partition[]>();
  for (const each of partitions) topics.set(each.topic, [...(topics.get(each.topic) ?? []), each]);
  const quiet = (of: Partition[]) => of.every((each) => each.lag === 0);
  return [...topics].filter(([topic, of]) => !topic.includes("-retry-") || !quiet(of));
}
