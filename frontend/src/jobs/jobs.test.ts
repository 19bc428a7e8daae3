import { afterEach, describe, expect, it, vi } from "vitest";
import { PAGE, matching, readPage, toRow } from "./api.ts";
import { cancelAll } from "./many.ts";
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

describe("all that match", () => {
  afterEach(() => vi.unstubAllGlobals());

  const gateway = (asked: string[], refuse: (path: string) => boolean = () => false) =>
    vi.stubGlobal("fetch", async (path: string, { method }: RequestInit = {}) => {
      asked.push(`${method ?? "GET"} ${path}`);
      if (refuse(path)) return new Response('{"error":"away"}', { status: 503 });
      if (method === "DELETE") return new Response("{}");
      const next = path.includes("cursor=") ? null : "c1";
      const [id, state] = next ? ["a", "processing"] : ["b", "cancelled"];
      return new Response(JSON.stringify({ items: [{ bookingId: id, state }], nextCursor: next }));
    });

  it("are cancelled from the newest to the last, but for what is over", async () => {
    const asked: string[] = [];
    gateway(asked);
    const pages = matching("q=u&cursor=shown", new AbortController().signal);
    expect(await cancelAll(pages, () => undefined)).toBe("1 booking cancelled.");
    expect(asked).toEqual(["GET /api/bookings?q=u&limit=100", "DELETE /api/bookings/a", "GET /api/bookings?q=u&limit=100&cursor=c1"]);
  });

  it("are told how far it went where the rest cannot be read", async () => {
    gateway([], (path) => path.includes("cursor="));
    const pages = matching("", new AbortController().signal);
    await expect(cancelAll(pages, () => undefined)).rejects.toThrow("1 booking cancelled, then: away");
  });

  it("are left alone from where it is stopped", async () => {
    const [asked, stop]: [string[], AbortController] = [[], new AbortController()];
    gateway(asked);
    await cancelAll(matching("", stop.signal), () => stop.abort());
    expect(asked).toEqual(["GET /api/bookings?limit=100", "DELETE /api/bookings/a"]);
  });
});
