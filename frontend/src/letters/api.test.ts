import { afterEach, describe, expect, it, vi } from "vitest";
import { many, readLetter } from "./api.ts";

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
