import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { FeedEvent } from "../follow/events.ts";
import { onEvents } from "./feed.ts";

const page = Object.assign(new EventTarget(), { hidden: false });
const word = new TextEncoder();

/** A gateway: what it was asked, and what sends on its newest answer. */
function gateway(status = 200) {
  const asked: (string | null)[] = [];
  let say: (text: string) => void = () => undefined;
  vi.stubGlobal("fetch", async (_path: string, { headers, signal }: { headers: object; signal: AbortSignal }) => {
    asked.push(new Headers(headers as Record<string, string>).get("Last-Event-ID"));
    if (status !== 200) return new Response("{}", { status });
    const body = new ReadableStream<Uint8Array>({
      start(to) {
        say = (text) => to.enqueue(word.encode(text));
        signal.addEventListener("abort", () => to.error(signal.reason), { once: true });
      },
    });
    return new Response(body);
  });
  return { asked, say: (text: string) => say(text) };
}

const ended = (id: string) => `id: ${id}\ndata: {"jobId": "j", "event": "confirmed", "at": 5}\n\n`;

function turn(hidden: boolean): void {
  page.hidden = hidden;
  page.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", page);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("goes on where it was after a time in which nobody looked, and tells of what cannot be had any more", async () => {
  const { asked, say } = gateway();
  const heard: string[] = [];
  const missed = vi.fn<() => void>();
  const end = onEvents((events: FeedEvent[]) => heard.push(...events.map(({ id }) => id)), missed);
  await vi.advanceTimersByTimeAsync(200);
  expect(missed).toHaveBeenCalledTimes(1);
  say(ended("7-0"));
  await vi.advanceTimersByTimeAsync(200);
  turn(true);
  await vi.advanceTimersByTimeAsync(60_000);
  turn(false);
  await vi.advanceTimersByTimeAsync(5000);
  expect(asked).toEqual([null, "7-0"]);
  expect(missed).toHaveBeenCalledTimes(1);
  say(ended("8-0"));
  say("event: reset\ndata: {}\n\n");
  await vi.advanceTimersByTimeAsync(200);
  expect(missed).toHaveBeenCalledTimes(2);
  expect(heard).toEqual(["7-0", "8-0"]);
  end();
});

it("is refused once, and asks again for whoever comes then", async () => {
  const { asked } = gateway(403);
  const end = onEvents(() => undefined);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(1);
  const other = onEvents(() => undefined);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(2);
  end();
  other();
});

it("tries again where the gateway is away", async () => {
  const { asked } = gateway(502);
  const end = onEvents(() => undefined);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked.length).toBeGreaterThan(2);
  end();
});
