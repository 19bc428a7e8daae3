import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { atMostEvery } from "./throttle.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("atMostEvery", () => {
  it("runs at once, and a hundred calls in a second become ten runs or so, the last call not lost", async () => {
    const task = vi.fn();
    const throttled = atMostEvery(100, task);
    for (let i = 0; i < 100; i += 1) {
      throttled.call();
      await vi.advanceTimersByTimeAsync(10);
    }
    const during = task.mock.calls.length;
    expect(during).toBeGreaterThanOrEqual(10);
    expect(during).toBeLessThanOrEqual(11);
    await vi.advanceTimersByTimeAsync(1000);
    expect(task.mock.calls.length - during).toBeLessThanOrEqual(1);
  });

  it("never runs twice at the same time", async () => {
    let [running, most] = [0, 0];
    const throttled = atMostEvery(10, async () => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 500));
      running -= 1;
    });
    throttled.call();
    throttled.call();
    await vi.advanceTimersByTimeAsync(200);
    throttled.call();
    await vi.advanceTimersByTimeAsync(3000);
    expect(most).toBe(1);
  });

  it("does nothing more once stopped", async () => {
    const task = vi.fn();
    const throttled = atMostEvery(10, task);
    throttled.call();
    throttled.call();
    throttled.stop();
    await vi.advanceTimersByTimeAsync(1000);
    throttled.call();
    expect(task).toHaveBeenCalledTimes(1);
  });
});
