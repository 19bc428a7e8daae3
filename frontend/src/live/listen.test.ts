import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { listen, pause, visible, whileVisible } from "./listen.ts";

/** How many listen to it. */
function counted(target: EventTarget): () => number {
  const open = new Set<unknown>();
  const [add, remove] = [target.addEventListener.bind(target), target.removeEventListener.bind(target)];
  target.addEventListener = (type: string, listener: EventListener, options?: AddEventListenerOptions) => {
    if (!options?.signal?.aborted) open.add(listener);
    options?.signal?.addEventListener("abort", () => open.delete(listener));
    add(type, listener, options);
  };
  target.removeEventListener = (type: string, listener: EventListener) => {
    open.delete(listener);
    remove(type, listener);
  };
  return () => open.size;
}

const page = Object.assign(new EventTarget(), { hidden: false });
const looks = counted(page);

function turn(hidden: boolean): void {
  page.hidden = hidden;
  page.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  vi.stubGlobal("document", page);
  turn(true);
  turn(false);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("what waits", () => {
  it("leaves no listener behind when its time has come, nor when it was given up", async () => {
    const stop = new AbortController();
    const aborts = counted(stop.signal);
    for (let turns = 0; turns < 50; turns += 1) await pause(0, stop.signal);
    expect(aborts()).toBe(0);
    const long = pause(60_000, stop.signal);
    expect(aborts()).toBe(1);
    stop.abort();
    await long;
    expect(aborts()).toBe(0);
  });

  it("leaves none behind when somebody looks again", async () => {
    const stop = new AbortController();
    const aborts = counted(stop.signal);
    for (let turns = 0; turns < 50; turns += 1) {
      await visible(stop.signal);
      expect(whileVisible(stop.signal).aborted).toBe(false);
    }
    expect([aborts(), looks()]).toEqual([0, 1]);
    const signal = whileVisible(stop.signal);
    turn(true);
    expect([signal.aborted, whileVisible(stop.signal).aborted, looks()]).toEqual([true, true, 0]);
    const seen = visible(stop.signal);
    turn(false);
    await seen;
    expect([aborts(), looks()]).toEqual([0, 0]);
  });
});

describe("listen", () => {
  /** By a clock of its own: what comes in parts, each after a wait, each message taking its time. */
  async function pauses(parts: number, waitMs: number, takesMs: number): Promise<number> {
    let clock = 0;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    const timers = vi.spyOn(globalThis, "setTimeout");
    const body = new ReadableStream<Uint8Array>(
      {
        pull(to) {
          clock += waitMs;
          if (parts === 0) to.close();
          else to.enqueue(new TextEncoder().encode("data: x\n\n"));
          parts -= 1;
        },
      },
      { highWaterMark: 0 },
    );
    vi.stubGlobal("fetch", async () => new Response(body));
    await listen("/", "", () => void (clock += takesMs), () => undefined, new AbortController().signal);
    return timers.mock.calls.filter(([, ms]) => ms === 0).length;
  }

  it("lets the browser have its turn after each stretch of work, and not for what it waited", async () => {
    expect(await pauses(20, 50, 0)).toBe(0);
    expect(await pauses(20, 0, 5)).toBe(10);
  });
});
