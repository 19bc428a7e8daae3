import { describe, expect, it } from "vitest";
import { age, ago, count, duration, rate, words } from "./format.ts";
import { isStale } from "./stale.ts";

describe("format", () => {
  it("writes durations as one would say them", () => {
    expect([0, -3, 999.4, 1240, 59_960, 125_000, 7_260_000].map(duration)).toEqual([
      "0 ms",
      "0 ms",
      "999 ms",
      "1.24 s",
      "60.0 s",
      "2 min 5 s",
      "2 h 1 min",
    ]);
  });

  it("writes ages, counts and names", () => {
    expect([ago(1000, 1200), ago(0, 14_000), ago(0, 180_000)]).toEqual(["just now", "14 s ago", "3 min ago"]);
    expect([0, 9.94, 119, 150, 90_000].map(age)).toEqual(["0 s", "9.9 s", "119 s", "3 min", "25 h"]);
    expect([count(1_234_567), count(12_345_678)]).toEqual(["1,234,567", "12.35M"]);
    expect([0, 0.04, 9.94, 12.6, 1234.5].map(rate)).toEqual(["0/s", "0.0/s", "9.9/s", "13/s", "1,235/s"]);
    expect([words("dlqPartitions"), words("hold_expired")]).toEqual(["dlq partitions", "hold expired"]);
  });
});

describe("isStale", () => {
  it("allows for two missed answers", () => {
    expect([isStale(0, 5_400, 2000), isStale(0, 5_600, 2000)]).toEqual([false, true]);
  });
});
