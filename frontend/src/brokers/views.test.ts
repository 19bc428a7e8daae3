import { describe, expect, it } from "vitest";
import { toPaused } from "./limits.ts";
import { byTopic, none, toKafka, toRq, toStreams } from "./views.ts";

describe("what the brokers say", () => {
  it("is read with care", () => {
    const { pending, consumers, group, lag, stale } = toStreams({
      stream: "s",
      group: "workers",
      lag: 7,
      consumers: [{ name: "w", pending: 1, idleMs: 20 }, null],
      pendingMessages: [["1-0", "w", 3187, 2]],
      stale: true,
      ageSeconds: 4.4,
      error: "no answer",
    });
    expect(pending).toEqual([{ id: "1-0", consumer: "w", idleMs: 3187, deliveries: 2 }]);
    expect(consumers).toEqual([
      { name: "w", pending: 1, idleMs: 20 },
      { name: "", pending: 0, idleMs: 0 },
    ]);
    expect([group, lag, stale]).toEqual(["workers", 7, "Stale, from 4 s ago: no answer"]);
    expect([toStreams({}).lag, toKafka({}).lag, toKafka({ group: "g", lag: 0 }).lag]).toEqual([null, null, 0]);
    const { jobs } = toRq({ failed: [{ id: "a", name: "booking", failedReason: "no" }], delayed: [{ id: "b", delay: 3_570_000 }] });
    expect([jobs.failed[0]?.note, jobs.delayed[0]?.note, jobs.waiting]).toEqual(["no", "in 60 min", []]);
    expect(() => [toStreams({}), toRq({}), toKafka({})]).not.toThrow();
    expect(toPaused({ limits: { rq: { paused: true }, kafka: { paused: false } } })).toEqual(new Set(["rq"]));
  });

  it("is not said to be nothing where nothing is known", () => {
    const said = [null, toStreams({ stale: true }), toStreams({ stale: false })].map((view) => none(view, "empty"));
    expect(said).toEqual(["Not known.", "Not known.", "empty"]);
  });

  it("shows retry topics only while something is in them", () => {
    const at = (topic: string, lag: number) => ({ topic, partition: 0, lag });
    const view = toKafka({ partitions: [at("t", 0), at("t-retry-1s", 0), at("t-retry-2s", 3)] });
    expect(byTopic(view.partitions).map(([topic]) => topic)).toEqual(["t", "t-retry-2s"]);
  });
});
