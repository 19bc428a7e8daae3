import { afterEach, expect, it, vi } from "vitest";
import { isStale, watchLooks } from "./stale.ts";

afterEach(() => void vi.useRealTimers());

it("takes no time for a late answer in which nobody looked and nothing was asked", () => {
  const page = Object.assign(new EventTarget(), { hidden: false });
  const turn = (hidden: boolean, at: number) => {
    vi.setSystemTime(at);
    page.hidden = hidden;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  vi.useFakeTimers({ now: 1000 });
  watchLooks(page as unknown as Document);
  expect([isStale(1000, 6400, 2000), isStale(1000, 6600, 2000)]).toEqual([false, true]);
  turn(true, 7000);
  expect(isStale(1000, 90_000, 2000)).toBe(false);
  turn(false, 100_000);
  expect([isStale(1000, 105_400, 2000), isStale(1000, 105_600, 2000)]).toEqual([false, true]);
});
