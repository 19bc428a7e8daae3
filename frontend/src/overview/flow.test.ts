import { describe, expect, it } from "vitest";
import { type FeedEvent, toEvent } from "../follow/events.ts";
import { along, born, breadth, level } from "./flow.ts";
import { alone, pick, said, toHistory } from "./history.ts";

const event = (kind: string, backend: string): FeedEvent => {
  const made = toEvent({ id: "1-0", event: "", data: JSON.stringify({ event: kind, backend, at: 5 }) });
  if (!made) throw new Error("no event");
  return made;
};

describe("dots", () => {
  it("go where their job goes, on its own lane", () => {
    const events = [event("queued", "rq"), event("started", "rq"), event("completed", "kafka"), event("step", "rq")];
    expect(born(events, "rq", "in", 0, 0)).toMatchObject([{ tone: "lane", back: false }]);
    expect(born(events, "kafka", "end", 0, 0)).toMatchObject([{ tone: "good" }]);
    expect(born(events, "redisStreams", "in", 0, 0)).toEqual([]);
    expect(born([event("retrying", "rq")], "rq", "start", 0, 0)).toMatchObject([{ tone: "warn", back: true }]);
  });

  it("stay few however many jobs there are, and a death is among them", () => {
    const many = [...Array.from({ length: 1000 }, () => event("completed", "rq")), event("dead", "rq")];
    const dots = born(many, "rq", "end", 0, 0);
    expect(dots.length).toBeLessThan(10);
    expect(dots[0]?.tone).toBe("bad");
    expect(born(many, "rq", "end", 0, 10_000)).toEqual([]);
  });

  it("cross once, those of a retry backwards", () => {
    const dot = { born: 0, tone: "lane" as const, back: false, lift: 0 };
    expect([along(dot, -50), along(dot, 550), along(dot, 1100)]).toEqual([0, 0.5, null]);
    expect(along({ ...dot, back: true }, 0)).toBe(1);
  });
});

describe("level", () => {
  it("can be read at 5 and at 50,000", () => {
    expect([0, 5, 50, 50_000, 1e9].map(level)).toEqual([0, 16, 34, 94, 100]);
  });
});

describe("a way", () => {
  it("is as thick as what goes along it, and bare where nothing does", () => {
    expect([0, 0.1, 1, 100, 1e6].map(breadth)).toEqual([0, 3.1, 3.9, 9, 12]);
  });
});

describe("history", () => {
  const history = toHistory({ times: [1000, 2000], series: { "rq.backlog": [1, 4], "kafka.waitP99Ms": [null, 7] } });

  it("is read in columns, a hole where nothing was known", () => {
    expect(pick(history, "backlog")).toEqual({
      times: [1, 2],
      lanes: { rq: [1, 4], redisStreams: [null, null], kafka: [null, null] },
    });
    expect(pick(history, "waitP99Ms").lanes.kafka).toEqual([null, 7]);
    expect(toHistory({})).toEqual({ times: [], columns: {} });
  });

  it("has points where a line would show nothing", () => {
    expect(alone([1, null, null, 2, 3, null, 4, undefined])).toEqual([0, 6]);
    expect(alone([null, 5, null])).toEqual([1]);
    expect(alone([])).toEqual([]);
  });

  it("is told in words", () => {
    const names = { rq: "RQ", redisStreams: "Streams", kafka: "Kafka" };
    expect(said(pick(history, "backlog"), names, String)).toBe("RQ: 4 now, at most 4; Streams: nothing; Kafka: nothing");
  });
});
