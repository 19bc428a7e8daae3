import { describe, expect, it } from "vitest";
import { timeAxis } from "./axis.ts";

const labels = (span: number, most = 6) => timeAxis(span, most).ticks.map((tick) => tick.label);

describe("timeAxis", () => {
  it.each([
    [0, ["0", "1 ms"]],
    [37, ["0", "10 ms", "20 ms", "30 ms", "40 ms"]],
    [770, ["0", "200 ms", "400 ms", "600 ms", "800 ms"]],
    [840, ["0", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s"]],
    [4_200, ["0", "1 s", "2 s", "3 s", "4 s", "5 s"]],
    [61_000, ["0", "15 s", "30 s", "45 s", "60 s", "75 s"]],
    [600_000, ["0", "2 min", "4 min", "6 min", "8 min", "10 min"]],
    [7_200_000, ["0", "30 min", "60 min", "90 min", "120 min"]],
  ])("%d ms", (span, expected) => {
    expect(labels(span)).toEqual(expected);
  });

  it("holds any span in the steps asked for, its last tick at its end", () => {
    for (let span = 1; span < 1e9; span = Math.ceil(span * 1.37)) {
      const { end, ticks } = timeAxis(span, 6);
      expect(end).toBeGreaterThanOrEqual(span);
      expect(ticks.length).toBeLessThanOrEqual(7);
      expect(ticks.at(-1)?.at).toBe(end);
    }
  });
});
