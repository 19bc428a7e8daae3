import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forget } from "../session/session.ts";
import { emptyDraft } from "./booking.ts";
import { bookings } from "./burst.ts";
import { keyFor } from "./key.ts";
import { sendAll, snapshot, subscribe } from "./sending.ts";

const all = (amount: number) => bookings(emptyDraft(new Date(2027, 1, 27)), amount);
const page = Object.assign(new EventTarget(), { hidden: false });
const browser = new EventTarget();

/** Whether a browser asks before the page is left. */
const asks = () => !browser.dispatchEvent(new Event("beforeunload", { cancelable: true }));

/** A gateway that takes everything, and whose events say what became of it; where it is `away`, it does not answer. */
function gateway({ away = false } = {}): { keys: string[]; say: (id: string) => void } {
  const keys: string[] = [];
  let to: ReadableStreamDefaultController<Uint8Array> | undefined;
  vi.stubGlobal("fetch", async (path: string, init: { body: string; headers: Record<string, string> }) => {
    if (path === "/api/events") return new Response(new ReadableStream<Uint8Array>({ start: (own) => void (to = own) }));
    if (path !== "/api/bookings/batch") return new Response('{"items": []}');
    keys.push(init.headers["Idempotency-Key"] ?? "");
    if (away) return new Response("{}", { status: 502 });
    const items = JSON.parse(init.body).bookings.map(({ userId }: { userId: string }) => ({ bookingId: userId }));
    return new Response(JSON.stringify({ refused: 0, items }));
  });
  const say = (id: string) =>
    to?.enqueue(new TextEncoder().encode(`id: 1-0\ndata: {"jobId": "${id}", "event": "confirmed", "at": 5}\n\n`));
  return { keys, say };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", page);
  vi.stubGlobal("window", browser);
});
afterEach(async () => {
  await forget();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a burst", () => {
  it("goes on while nobody listens, and asks whoever leaves before all are sent", async () => {
    gateway();
    void sendAll(all(150), "k");
    expect([snapshot()?.sending, asks()]).toEqual([true, true]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(snapshot()).toMatchObject({ sending: false, of: 150, refused: 0, error: "" });
    expect([snapshot()?.ids.size, asks()]).toEqual([150, false]);
  });

  it("is not sent as many times again by whoever comes back to the form", async () => {
    const store = new Map([["booking-queue.draft", JSON.stringify({ ...emptyDraft(new Date()), amount: "150" })]]);
    vi.stubGlobal("sessionStorage", {
      getItem: (name: string) => store.get(name) ?? null,
      setItem: (name: string, value: string) => void store.set(name, value),
    });
    gateway();
    void sendAll(all(150), "k");
    await vi.advanceTimersByTimeAsync(1000);
    expect(JSON.parse(store.get("booking-queue.draft") ?? "{}")).toMatchObject({ amount: "1" });
  });

  it("counts no more once all have ended", async () => {
    const { say } = gateway();
    void sendAll(all(2), "k");
    await vi.advanceTimersByTimeAsync(1000);
    const changed = vi.fn<() => void>();
    const end = subscribe(changed);
    for (const id of snapshot()?.ids ?? []) say(id);
    await vi.advanceTimersByTimeAsync(1000);
    expect(snapshot()?.ended).toEqual({ confirmed: 2 });
    changed.mockClear();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(changed).not.toHaveBeenCalled();
    end();
  });

  it("keeps its key while something of it may be missing, and no longer", async () => {
    const { keys } = gateway({ away: true });
    void sendAll(all(2), keyFor("draft"));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(snapshot()?.error).toContain("not known");
    const back = gateway();
    void sendAll(all(2), keyFor("draft"));
    await vi.advanceTimersByTimeAsync(1000);
    expect(snapshot()).toMatchObject({ error: "", sending: false });
    expect(back.keys).toEqual([keys[0]]);
    expect(keys[0]).not.toBe(`${keyFor("draft")}-0`);
  });

  it("is not for whoever looks next", async () => {
    gateway();
    void sendAll(all(2), "k");
    await forget();
    expect([snapshot(), asks()]).toEqual([null, false]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(snapshot()).toBeNull();
  });
});
