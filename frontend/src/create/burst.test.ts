import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api.ts";
import { emptyDraft } from "./booking.ts";
import { begun, bookings, counted, halted, readEnds, sendBurst } from "./burst.ts";

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
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  type Asked = { key: string; users: string[] };

  /** A gateway that gives these answers in turn, an error where none comes; then it accepts all but the first of each. */
  function gateway(...answers: (Response | Error)[]): Asked[] {
    const asked: Asked[] = [];
    vi.stubGlobal("fetch", async (_: string, init: { body: string; headers: Record<string, string> }) => {
      const users: string[] = JSON.parse(init.body).bookings.map((each: { userId: string }) => each.userId);
      asked.push({ key: init.headers["Idempotency-Key"] ?? "", users });
      const next = answers.shift();
      if (next instanceof Error) throw next;
      const items = users.map((_each, at) => ({ bookingId: at ? `${at}` : undefined, error: "no" }));
      return next ?? new Response(JSON.stringify({ accepted: users.length - 1, refused: 1, items }));
    });
    return asked;
  }

  async function sent(amount: number): Promise<(number | string)[]> {
    const told: (number | string)[] = [];
    const tell = ({ ids, refused }: { ids: string[]; refused: number }) => told.push(ids.length, refused);
    const end = sendBurst(bookings(draft, amount), "k", tell, new AbortController().signal).catch((cause: unknown) =>
      told.push(String(cause)),
    );
    await vi.advanceTimersByTimeAsync(20_000);
    await end;
    return told;
  }

  it("sends in portions, each with a key of its own, and tells what was accepted", async () => {
    vi.useFakeTimers();
    const asked = gateway();
    expect(await sent(250)).toEqual([99, 1, 99, 1, 49, 1]);
    expect(asked.map(({ users }) => users.length)).toEqual([100, 100, 50]);
    expect(new Set(asked.map(({ key }) => key)).size).toBe(3);
  });

  it("sends a portion again whose answer was lost, with the same key", async () => {
    vi.useFakeTimers();
    const asked = gateway(new Error("cut off"), new Response("{}", { status: 502 }));
    expect(await sent(150)).toEqual([99, 1, 49, 1]);
    const [first, second, third, last] = asked;
    expect([second, third]).toEqual([first, first]);
    expect(last?.key).not.toBe(first?.key);
  });

  it("gives up where it is refused, and where no answer comes at all", async () => {
    vi.useFakeTimers();
    const refused = gateway(new Response("{}", { status: 429 }));
    expect(await sent(200)).toEqual(["ApiError: Answered 429"]);
    expect(refused).toHaveLength(1);
    const away = gateway(...Array.from({ length: 9 }, () => new Response("{}", { status: 504 })));
    expect(await sent(200)).toEqual(["ApiError: Answered 504"]);
    expect(away).toHaveLength(3);
  });
});

it("does not say of what may have been accepted that it was not", () => {
  expect(halted(new ApiError("No answer", 0), 300)).toContain("Whether the next 100 were accepted is not known. The rest was not sent.");
  expect(halted(new ApiError("No answer", 0), 40)).toMatch(/next 40 were accepted is not known\. Book/);
  expect(halted(new ApiError("Full", 429), 300)).toMatch(/The rest was not accepted\. Book/);
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
