import { afterEach, describe, expect, it, vi } from "vitest";
import { PAGE, readPage, toRow } from "./api.ts";
import { each, held, news, summed } from "./rows.ts";

const row = (id: string, state = "accepted") => toRow({ bookingId: id, state });

describe("rows that somebody is at", () => {
  it("stay in their place with their newest state", () => {
    const shown = [row("b"), row("a")];
    const came = [row("c"), row("b", "confirmed")];
    expect(held(shown, came).map(({ id, state }) => [id, state])).toEqual([
      ["b", "confirmed"],
      ["a", "accepted"],
    ]);
    expect(news(shown, came)).toBe(1);
  });
});

describe("each", () => {
  it("goes on after a refusal, and sums up", async () => {
    const seen: number[] = [];
    const act = async (item: number) => {
      seen.push(item);
      if (item > 2) throw new Error("too late");
    };
    const told = await each([1, 2, 3, 4], act, () => undefined, 2);
    expect([seen.toSorted(), told.done, summed(told.failed)]).toEqual([[1, 2, 3, 4], 2, "2 × too late"]);
  });
});

describe("readPage", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("goes on where a filtered page came short, from its cursor, for as many as are missing", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      asked.push(path);
      const items = Array.from({ length: asked.length === 1 ? 5 : PAGE - 5 }, (_, at) => ({ bookingId: `${at}` }));
      return new Response(JSON.stringify({ items, nextCursor: `c${asked.length}` }));
    });
    const page = await readPage("state=dead", new AbortController().signal);
    expect(page).toMatchObject({ next: "c2", looked: 2, key: "state=dead" });
    expect(page.rows).toHaveLength(PAGE);
    expect(asked[1]).toBe(`/api/bookings?state=dead&limit=${PAGE - 5}&cursor=c1`);
  });

  it("gives up after some requests, and says where to go on", async () => {
    vi.stubGlobal("fetch", async () => new Response('{"items":[],"nextCursor":"x"}'));
    expect(await readPage("", new AbortController().signal)).toMatchObject({ rows: [], next: "x", looked: 8 });
  });
});
