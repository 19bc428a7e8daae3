import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, toBooking } from "../api.ts";
import { type Change, follow, isFinal, nothingYet, reduce } from "./follow.ts";

const booking = toBooking({ bookingId: "b", state: "processing", status: {} });
const after = (...changes: Change[]) => changes.reduce(reduce, nothingYet);
const broken: Change = { type: "failed", error: new ApiError("The gateway cannot be reached", 502) };
const status: Change = { type: "status", booking, at: 7 };

describe("reduce", () => {
  it("keeps what was last received when the gateway is gone, and says so", () => {
    expect(after(status, broken)).toMatchObject({ booking, at: 7, error: { status: 502 } });
  });

  it("forgets the error with the next answer", () => {
    expect(after(broken, status).error).toBeNull();
  });

  it("says of a history that something is missing, and keeps what it has", () => {
    const event = { id: "1-0", job: "b", kind: "a", at: 1, backend: null, step: "", by: null, to: null, lanes: [], attempt: 0, starts: 0, worker: "", error: "", due: null, refunded: null };
    expect(after({ type: "events", events: [event] }, { type: "reset" })).toMatchObject({ events: [event], cut: true });
  });
});

describe("isFinal", () => {
  it("is so for a booking that is not there, not for a gateway or a key that may come", () => {
    expect([404, 403, 401, 502, 503, 0].map((code) => isFinal(new ApiError("", code)))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("follow", () => {
  const page = Object.assign(new EventTarget(), { hidden: false });
  const turn = (hidden: boolean) => {
    page.hidden = hidden;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", page);
  });
  afterEach(() => {
    turn(false);
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  /** A gateway that is away, and how often it was asked for the status in each of these stretches. */
  async function asked(...stretches: { ms: number; hidden: boolean }[]): Promise<number[]> {
    let count = 0;
    vi.stubGlobal("fetch", async (path: string) => {
      if (path.endsWith("/status")) count += 1;
      return new Response("{}", { status: 502 });
    });
    const stop = new AbortController();
    follow("b", () => undefined, stop.signal);
    const counts: number[] = [];
    for (const { ms, hidden } of stretches) {
      const before = count;
      turn(hidden);
      await vi.advanceTimersByTimeAsync(ms);
      counts.push(count - before);
    }
    stop.abort();
    return counts;
  }

  it("asks a gateway that is away no more often the longer it is, and not where nobody looks", async () => {
    const [first = 0, second = 0, unseen, seen] = await asked(
      { ms: 60_000, hidden: false },
      { ms: 60_000, hidden: false },
      { ms: 60_000, hidden: true },
      { ms: 5000, hidden: false },
    );
    expect(first).toBeLessThan(60);
    expect(second).toBeLessThan(60);
    expect(unseen).toBeLessThan(3);
    expect(seen).toBeGreaterThan(1);
  });
});
