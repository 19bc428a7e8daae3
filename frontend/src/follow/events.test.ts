import { describe, expect, it } from "vitest";
import { type FeedEvent, gone, merge, segments, toEvent } from "./events.ts";

const message = (data: unknown, name = "message", id = "10-0") => ({ id, event: name, data: JSON.stringify(data) });

function event(kind: string, at: number, backend: FeedEvent["backend"] = "rq", id = `${at}-0`): FeedEvent {
  return { id, job: "b", kind, at, backend, step: "", by: null, to: null, lanes: [], attempt: 0, starts: 0, worker: "", error: "", due: null, refunded: null };
}

describe("toEvent", () => {
  it("reads a bare event", () => {
    expect(toEvent(message({ event: "reused", backend: "kafka", by: "rq", step: "mail", at: 5 }))).toMatchObject({
      id: "10-0",
      kind: "reused",
      backend: "kafka",
      by: "rq",
      step: "mail",
      at: 5,
    });
  });

  it("reads one in a CloudEvents envelope, with the envelope's type, time and id where it has no own", () => {
    const envelope = { specversion: "1.0", id: "9-1", type: "booking.leg.started", time: "1970-01-01T00:00:01Z" };
    expect(toEvent(message({ ...envelope, data: { backend: "rq", worker: "w" } }, "message", ""))).toMatchObject({
      id: "9-1",
      kind: "started",
      at: 1000,
      worker: "w",
    });
  });

  it("takes the name of the message when the event has none, and `false` as no backend", () => {
    expect(toEvent(message({ at: 1, backend: false }, "confirmed"))).toMatchObject({ kind: "confirmed", backend: null });
  });

  it.each(["{", "[]", "3", "{}"])("is null for %s", (data) => {
    expect(toEvent({ id: "", event: "message", data })).toBeNull();
  });
});

describe("merge", () => {
  it("keeps each event once, ordered by id and not by arrival", () => {
    const [a, b, c] = [event("a", 5, "rq", "5-0"), event("b", 5, "rq", "5-2"), event("c", 5, "rq", "5-10")];
    expect(merge([b], [c, a, b]).map((each) => each.kind)).toEqual(["a", "b", "c"]);
  });

  it("gives the same list back when nothing is new, so that nothing is drawn again", () => {
    const known = [event("a", 1)];
    expect(merge(known, [event("a", 1)])).toBe(known);
  });

  it("is bounded, and drops the oldest", () => {
    const many = Array.from({ length: 700 }, (_, i) => event("step", i + 1));
    const kept = merge([], many);
    expect(kept).toHaveLength(500);
    expect(kept[0]?.at).toBe(201);
  });
});

describe("gone", () => {
  it("is a letter that was moved or discarded, until the lane dies anew", () => {
    const moved: FeedEvent = { ...event("moved", 2), to: "kafka" };
    expect(gone([event("dead", 1), moved])).toEqual({ rq: "Ran again on Kafka" });
    expect(gone([event("dead", 1), moved, event("dead", 3)])).toEqual({});
    expect(gone([event("dead", 1), event("discarded", 2), event("dead", 3, "kafka")])).toEqual({
      rq: "Its dead letter was discarded",
    });
  });
});

describe("segments", () => {
  it("begin where a lane came in, also when that was after the acceptance", () => {
    const accepted = toEvent(message({ event: "accepted", backends: "kafka,redisStreams", at: 1 })) ?? expect.fail();
    const story = [accepted, event("redriven", 9, "rq"), event("started", 10, "rq")];
    expect(segments(story, "rq").map((each) => each.from)).toEqual([9, 10]);
    expect(segments(story, "kafka").map((each) => each.from)).toEqual([1]);
  });

  it("tells waiting, running and the pause before a retry apart, each ending where the next begins", () => {
    const story = [
      event("accepted", 0, null),
      event("queued", 1),
      event("started", 4),
      event("step", 5),
      event("started", 6, "kafka"),
      event("retrying", 7),
      event("started", 9),
      event("completed", 12),
    ];
    expect(segments(story, "rq")).toEqual([
      { phase: "wait", from: 0, to: 4 },
      { phase: "run", from: 4, to: 7 },
      { phase: "retry", from: 7, to: 9 },
      { phase: "run", from: 9, to: 12 },
    ]);
  });

  it("leaves open what still goes on", () => {
    expect(segments([event("accepted", 0, null), event("started", 2)], "rq").at(-1)).toEqual({
      phase: "run",
      from: 2,
      to: null,
    });
  });

  it("counts a dead worker's run up to its last word, and as lost what follows until another takes over", () => {
    const story = [event("started", 1), event("step", 4), event("step", 9, "kafka"), event("started", 20), event("dead", 21)];
    expect(segments(story, "rq")).toEqual([
      { phase: "run", from: 1, to: 4 },
      { phase: "lost", from: 4, to: 20 },
      { phase: "run", from: 20, to: 21 },
    ]);
  });

  it("goes on after a redrive", () => {
    const story = [event("started", 1), event("dead", 2), event("redriven", 8), event("started", 9)];
    expect(segments(story, "rq").map((each) => each.phase)).toEqual(["run", "wait", "run"]);
  });
});
