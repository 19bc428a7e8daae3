import { describe, expect, it } from "vitest";
import { ApiError } from "../api.ts";
import { troubles } from "./alarms.ts";
import { toBoard, untouched } from "./board.ts";

const none = { p50: null, p95: null, p99: null };

describe("toBoard", () => {
  it("says of a source without figures that it has none", () => {
    const { lanes, ledgerStale, workersStale } = toBoard({
      queues: { rq: { waiting: 0 }, redisStreams: { totalMessages: 7 }, kafka: { topic: null } },
      staleness: {
        rq: { stale: false, ageSeconds: 0.4, error: null },
        redisStreams: { stale: true, ageSeconds: 14.2, error: "http://127.0.0.1:3002 answered 503: away" },
        kafka: { stale: true, ageSeconds: null, error: null },
        ledger: { stale: true, ageSeconds: 40, error: "no answer within 2 s" },
      },
    });
    expect(lanes.rq).toMatchObject({ figures: { waiting: 0 }, stale: "" });
    const why = "Stale, from 14 s ago: answered 503: away";
    expect(lanes.redisStreams).toMatchObject({ figures: { totalMessages: 7 }, stale: why });
    expect(lanes.kafka).toMatchObject({ figures: null, stale: "No answer yet" });
    expect([ledgerStale, workersStale]).toEqual(["Stale, from 40 s ago: no answer within 2 s", ""]);
    expect(toBoard({}).lanes.kafka.stale).toBe("No figures");
    expect(Object.values(lanes.kafka.common).filter((value) => typeof value === "number")).toEqual([]);
  });

  it("reads the same of each lane", () => {
    const { lanes, overSeconds } = toBoard({
      waiting: { rq: 3, redisStreams: 0, kafka: null },
      workers: { running: { rq: 2, redisStreams: 1 } },
      metrics: { jobs: { rq: { processed: 40, failed: 1 } } },
      oldestAgeSeconds: { rq: 1.5 },
      rates: { overSeconds: 10, rq: { completedPerSecond: 2.25 } },
      latency: { rq: { wait: { p50: 4, p99: 9 } } },
      lag: { rq: null, redisStreams: 12, kafka: null },
    });
    const rq = { waiting: 3, active: 2, done: 40, dead: 1, oldestSeconds: 1.5, perSecond: 2.25 };
    expect(lanes.rq.common).toMatchObject({ ...rq, wait: { p50: 4, p95: null, p99: 9 }, run: none });
    expect(lanes.redisStreams.common).toMatchObject({ waiting: 0, active: 1, done: null });
    expect([lanes.rq, lanes.redisStreams, lanes.kafka].map((lane) => lane.common.lag)).toEqual([null, 12, null]);
    expect(overSeconds).toBe(10);
  });

  it("knows a suite to which nothing was ever sent from one of which it knows nothing", () => {
    const zero = { rq: 0, redisStreams: 0, kafka: 0 };
    const idle = { rq: { processed: 0, failed: 0 }, redisStreams: { processed: 0, failed: 0 }, kafka: { processed: 0, failed: 0 } };
    const body = { waiting: zero, workers: { running: zero }, metrics: { jobs: idle } };
    expect(untouched(toBoard(body))).toBe(true);
    expect(untouched(toBoard({ ...body, metrics: { jobs: { ...idle, kafka: { processed: 1, failed: 0 } } } }))).toBe(false);
    expect(untouched(toBoard({ ...body, waiting: { ...zero, kafka: null } }))).toBe(false);
  });

  it("tells no worker from workers of which nothing is known", () => {
    expect(toBoard({ workers: { count: 0, list: [] } }).count).toBe(0);
    const { count, lanes } = toBoard({ workers: { count: null, list: [], running: { rq: null } } });
    expect([count, lanes.rq.common.active]).toEqual([null, null]);
  });

  it("reads workers that answer and those that do not", () => {
    const { workers, lost } = toBoard({
      workers: {
        list: [{ id: "a", running: { rq: 1 }, memoryBytes: 5, error: null, partitions: ["t/0"], jobs: [{ jobId: "j", backend: "rq" }] }, { id: "b", running: null, error: "refused" }],
        lost: [{ id: "c", lastSeenSeconds: 20 }],
      },
    });
    expect(workers[0]).toMatchObject({ id: "a", running: { rq: 1, kafka: null }, memoryBytes: 5, error: "" });
    expect(workers[0]).toMatchObject({ partitions: ["t/0"], jobs: [{ id: "j", backend: "rq", seconds: null }] });
    expect(workers[1]).toMatchObject({ jobs: null, partitions: null, id: "b", running: { rq: null }, error: "refused" });
    expect(lost).toEqual([{ id: "c", seconds: 20 }]);
  });
});

describe("troubles", () => {
  const alarms = [
    { alarm: "worker_lost", about: "w-1", detail: "" },
    { alarm: "source_stale", about: "kafka", detail: "no answer" },
    { alarm: "brand_new", about: "x", detail: "" },
  ];

  it("puts the worst first, and knows how to say what it does not know", () => {
    const data = toBoard({ alarms });
    const titles = troubles({ data, error: null, at: 0 }, false).map((each) => each.title);
    expect(titles).toEqual([
      "Kafka does not answer: its new jobs are kept and wait",
      "x: brand new",
      "Worker w-1 is gone; its jobs run elsewhere",
    ]);
  });

  const told = (alarm: string, about: string, since: string | null = null) => {
    const data = toBoard({ timestamp: "2026-01-01T00:12:00Z", alarms: [{ alarm, about, detail: "so", remedy: "Do.", since }] });
    return troubles({ data, error: null, at: 0 }, false)[0];
  };

  it("says of what is over when it was, and is calm about it unless something is left to do", () => {
    const then = "2026-01-01T00:00:00Z";
    expect(told("stream_group_destroyed", "redisStreams", then)).toMatchObject({ bad: false, seconds: 720 });
    expect(told("redis_refused", "queue", then)).toMatchObject({ bad: false, detail: "so.", remedy: "Do." });
    expect(told("ledger_emptied", "ledger", then)).toMatchObject({ bad: true, seconds: 720 });
    expect(told("job_kills_workers", "rq", then)?.bad).toBe(true);
    expect(told("redis_refuses_writes", "ledger")).toMatchObject({ bad: true, seconds: null });
  });

  it("knows each again when its detail changes, and what goes on from what is over", () => {
    expect(told("worker_lost", "w")?.key).not.toBe(told("worker_lost", "v")?.key);
    expect(told("ledger_emptied", "ledger")?.key).not.toBe(told("ledger_emptied", "ledger", "2026-01-01T00:00:00Z")?.key);
  });

  it("says what is down and what that means, and is calm about what mended itself", () => {
    expect(told("source_stale", "ledger")?.title).toContain("nothing is taken on");
    expect(told("source_stale", "workers")?.title).toBe("The workers do not answer: their figures are old");
    expect(told("consumer_stood_still", "w-1", "2026-01-01T00:00:00Z")).toMatchObject({ bad: false, title: "Worker w-1 stood still on Kafka and was set going again" });
  });

  it("says before all else that nobody watches", () => {
    const [first] = troubles({ data: null, error: new Error("cannot be reached"), at: null }, false);
    expect(first).toMatchObject({ bad: true, detail: expect.stringMatching(/^cannot be reached; trying again. .*without it/) });
    expect(troubles({ data: toBoard({}), error: null, at: 0 }, false)).toEqual([]);
  });

  it("calls a missing key what it is", () => {
    const [only, ...more] = troubles({ data: null, error: new ApiError("An API key is needed", 401), at: null }, false);
    expect(more).toEqual([]);
    expect(only).toMatchObject({ bad: false, title: "A key is needed to see how things are" });
  });
});
