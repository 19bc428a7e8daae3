import { expect, it } from "vitest";
import { toBoard } from "../live/board.ts";
import { runsInAll, runsOf, toRunning } from "./api.ts";

it("tells which worker runs which leg", () => {
  const leg = (state: string, worker: string) => ({ state, worker, step: "mail" });
  const items = [
    { bookingId: "a", status: { rq: leg("active", "w1"), kafka: leg("completed", "w2") } },
    { bookingId: "b", status: { kafka: leg("active", "w2") } },
    null,
  ];
  expect(toRunning(items)).toEqual([
    { id: "a", backend: "rq", type: "booking", step: "mail", worker: "w1", seconds: null },
    { id: "b", backend: "kafka", type: "booking", step: "mail", worker: "w2", seconds: null },
  ]);
});

it("counts all that a worker runs, also those that it does not name", () => {
  const jobs = [{ jobId: "a", backend: "rq", type: "booking", seconds: 1 }];
  const { workers } = toBoard({ workers: { list: [{ id: "w", running: { rq: 30, kafka: 19 }, jobs }, { id: "x", jobs }] } });
  expect(workers.map((worker) => runsInAll(worker, runsOf(worker, [])))).toEqual([49, 1]);
});
