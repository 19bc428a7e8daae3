import { afterEach, describe, expect, it, vi } from "vitest";
import { many, readLetter, readLetters } from "./api.ts";
import { allOf, filtersOf } from "./filters.ts";

afterEach(() => vi.unstubAllGlobals());

describe("many", () => {
  const which = { items: [{ backend: "kafka" as const, id: "a" }] };
  const bodies = async (verb: "redrive" | "discard") => {
    const sent: unknown[] = [];
    vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
      sent.push(JSON.parse(String(init.body)));
      return new Response(JSON.stringify({ redriven: 1, items: [], nextCursor: null }));
    });
    await many(verb, which, "rq", () => undefined);
    return sent;
  };

  it("says where they run again, and no such thing of what is put away", async () => {
    expect(await bodies("redrive")).toEqual([{ ...which, to: "rq", limit: 200 }]);
    expect(await bodies("discard")).toEqual([{ ...which, limit: 200 }]);
  });
});

describe("all that match", () => {
  const search = "type=noop&q=mail&backend=kafka&cursor=c&trail=x";

  it("are those that the list shows", async () => {
    let asked = "";
    vi.stubGlobal("fetch", async (path: string) => {
      asked = path;
      return new Response('{"items":[],"nextCursor":null}');
    });
    await readLetters(search, new AbortController().signal);
    const query = new URLSearchParams(asked.split("?")[1]);
    expect([query.get("cursor"), query.get("trail")]).toEqual(["c", null]);
    expect(filtersOf(query)).toEqual({ type: "noop", q: "mail", backend: "kafka" });
    expect(filtersOf(new URLSearchParams(search))).toEqual(filtersOf(query));
  });

  it("are named before something is done to them", () => {
    expect(allOf(filtersOf(new URLSearchParams(search)))).toBe("all letters of type noop that died on Kafka with “mail”");
    expect(allOf({})).toBe("all letters");
  });
});

describe("readLetter", () => {
  const withBooking = (status: number) =>
    vi.stubGlobal("fetch", async (path: string) =>
      path.startsWith("/api/bookings/") ? new Response("{}", { status }) : new Response('{"id":"a","backend":"kafka"}'),
    );
  const read = () => readLetter("kafka", "a", new AbortController().signal);

  it("knows whether it can be followed, by the gateway's word alone", async () => {
    withBooking(200);
    expect(await read()).toMatchObject({ isBooking: true });
    withBooking(404);
    expect(await read()).toMatchObject({ isBooking: false });
    withBooking(503);
    await expect(read()).rejects.toMatchObject({ status: 503 });
  });
});
