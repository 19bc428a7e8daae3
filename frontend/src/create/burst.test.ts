import { afterEach, describe, expect, it, vi } from "vitest";
import { emptyDraft } from "./booking.ts";
import { begun, bookings, counted, readEnds, sendBurst } from "./burst.ts";

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

describe("readEnds", () => {
  afterEach(() => vi.unstubAllGlobals());

  /** A list of so many pages, of which each has what is asked for. */
  function listed(pages: { bookingId: string; state: string }[][], endless = false): string[] {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      const place = Number(new URLSearchParams(path.split("?")[1]).get("cursor"));
      asked.push(path);
      const nextCursor = endless || place + 1 < pages.length ? String(place + 1) : null;
      return new Response(JSON.stringify({ items: pages[place] ?? [], nextCursor }));
    });
    return asked;
  }

  const read = (open: string[], sent = open.length) => readEnds("h&m", new Set(open), sent, new AbortController().signal);

  it("tells how those ended that are asked for, and looks no further than they are", async () => {
    const first = [
      { bookingId: "a", state: "confirmed" },
      { bookingId: "x", state: "failed" },
    ];
    const second = [
      { bookingId: "b", state: "processing" },
      { bookingId: "c", state: "failed" },
    ];
    const asked = listed([first, second, []]);
    expect(await read(["a", "b", "c"])).toEqual([
      ["a", "confirmed"],
      ["c", "failed"],
    ]);
    expect(asked).toEqual(["/api/bookings?q=h%26m&limit=100", "/api/bookings?q=h%26m&limit=100&cursor=1"]);
    expect(await read([])).toEqual([]);
    expect(asked).toHaveLength(2);
  });

  it("gives up on what is nowhere, however long the list is", async () => {
    const asked = listed([], true);
    expect(await read(["gone"], 200)).toEqual([]);
    expect(asked).toHaveLength(12);
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
