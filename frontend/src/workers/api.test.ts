import { expect, it } from "vitest";
import { toRunning } from "./api.ts";

it("tells which worker runs which leg", () => {
  const leg = (state: string, worker: string) => ({ state, worker, step: "mail" });
  const items = [
    { bookingId: "a", status: { rq: leg("active", "w1"), kafka: leg("completed", "w2") } },
    { bookingId: "b", status: { kafka: leg("active", "w2") } },
    null,
  ];
  expect(toRunning(items)).toEqual([
    { id: "a", backend: "rq", step: "mail", worker: "w1", seconds: null },
    { id: "b", backend: "kafka", step: "mail", worker: "w2", seconds: null },
  ]);
});
