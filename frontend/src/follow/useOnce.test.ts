import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api.ts";
import { type Once, once } from "./useOnce.ts";

describe("once", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  async function told(...answers: (string | number)[]): Promise<[Once<string>[], left: number]> {
    const heard: Once<string>[] = [];
    const read = async () => {
      const next = answers.shift() ?? "too often";
      if (typeof next === "number") throw new ApiError("no", next);
      return next;
    };
    const end = once(read, (one) => heard.push(one), new AbortController().signal);
    await vi.advanceTimersByTimeAsync(10_000);
    await end;
    return [heard, answers.length];
  }

  it("asks again until it is had, and then no more", async () => {
    const [heard, left] = await told(503, 0, "it", "again");
    expect(heard.map(({ data, error }) => data ?? error?.message)).toEqual(["no", "no", "it"]);
    expect(left).toBe(1);
  });

  it("does not ask again for what is not there", async () => {
    expect(await told(404, "it")).toMatchObject([[{ data: null, error: { status: 404 } }], 1]);
  });
});
