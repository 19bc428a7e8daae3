import { afterEach, describe, expect, it, vi } from "vitest";
import { emptyDraft } from "./booking.ts";
import { begun, bookings, counted, sendBurst } from "./burst.ts";

const draft = emptyDraft(new Date(2027, 1, 27));

describe("bookings", () => {
  it("are each of another user and spread over the weeks", () => {
    const made = bookings(draft, 6);
    expect(made.map((each) => each.userId)).toEqual([1, 2, 3, 4, 5, 6].map((place) => `user-1-${place}`));
    expect(made.map((each) => each.checkIn).slice(0, 5)).toEqual([
      "2027-02-28",
      "2027-03-07",
      "2027-03-14",
      "2027-03-21",
      "2027-02-28",
    ]);
    expect(made.every((each) => each.backends === undefined)).toBe(true);
  });

  it("take turns at the chosen backends", () => {
    const made = bookings({ ...draft, backends: ["rq", "kafka"], spread: "turns" }, 3);
    expect(made.map((each) => each.backends)).toEqual([["rq"], ["kafka"], ["rq"]]);
  });

  it("keep within what a user may be called", () => {
    const [last] = bookings({ ...draft, userId: "u".repeat(100) }, 10_000).slice(-1);
    expect(last?.userId.length).toBeLessThanOrEqual(100);
  });
});

describe("sendBurst", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("sends in portions and tells what was accepted", async () => {
    const sizes: number[] = [];
    vi.stubGlobal("fetch", async (_: string, init: { body: string }) => {
      const size = JSON.parse(init.body).bookings.length;
      sizes.push(size);
      const items = Array.from({ length: size }, (_each, at) => ({ bookingId: at ? `${at}` : undefined, error: "no" }));
      return new Response(JSON.stringify({ accepted: size - 1, refused: 1, items }));
    });
    const told: number[] = [];
    await sendBurst(bookings(draft, 250), ({ ids, refused }) => told.push(ids.length, refused), new AbortController().signal);
    expect(sizes).toEqual([100, 100, 50]);
    expect(told).toEqual([99, 1, 99, 1, 49, 1]);
  });
});

it("counts ends of its own only", () => {
  const ends = new Map([
    ["a", "confirmed"],
    ["b", "failed"],
    ["of another", "confirmed"],
  ]);
  expect(counted({ ...begun, ids: new Set(["a", "b", "c"]) }, ends)).toEqual({ confirmed: 1, failed: 1 });
});
