import { describe, expect, it } from "vitest";
import { toCounters } from "./counters.ts";

const unknown = { waiting: null, active: null, done: null, dead: null, oldestSeconds: null, perSecond: null };

describe("toCounters", () => {
  it("says of a source without figures that it has none", () => {
    const { lanes } = toCounters({
      queues: { rq: { waiting: 0, levels: {} }, redisStreams: { totalMessages: 7 }, kafka: { topic: null } },
      staleness: {
        rq: { stale: false, ageSeconds: 0.4, error: null },
        redisStreams: { stale: true, ageSeconds: 14.2, error: "no answer within 2 s" },
        kafka: { stale: true, ageSeconds: null, error: null },
      },
    });
    expect(lanes.rq).toMatchObject({ figures: { waiting: 0 }, stale: "" });
    const why = "Stale, from 14 s ago: no answer within 2 s";
    expect(lanes.redisStreams).toMatchObject({ figures: { totalMessages: 7 }, stale: why });
    expect(lanes.kafka).toEqual({ common: unknown, figures: null, stale: "No answer yet" });
    expect(toCounters({}).lanes.kafka.stale).toBe("No figures");
  });

  it("reads the same of each lane; what runs is not also waiting", () => {
    const { lanes, overSeconds } = toCounters({
      backlog: { rq: 5, redisStreams: 0, kafka: null },
      workers: { running: { rq: 2, redisStreams: 1 } },
      metrics: { jobs: { rq: { processed: 40, failed: 1 } } },
      oldestAgeSeconds: { rq: 1.5 },
      rates: { overSeconds: 10, rq: { completedPerSecond: 2.25 } },
    });
    const rq = { waiting: 3, active: 2, done: 40, dead: 1, oldestSeconds: 1.5, perSecond: 2.25 };
    expect(lanes.rq.common).toEqual(rq);
    expect(lanes.redisStreams.common).toMatchObject({ waiting: 0, active: 1, done: null });
    expect(lanes.kafka.common).toEqual(unknown);
    expect(overSeconds).toBe(10);
  });
});
