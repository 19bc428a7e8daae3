import { describe, expect, it } from "vitest";
import { instant, problem, restAfter, skewOf, toBooking } from "./api.ts";

describe("toBooking", () => {
  it("reads a leg, its times and its error", () => {
    const { legs, confirmationNumber } = toBooking({
      bookingId: "b",
      state: "confirmed",
      status: {
        rq: {
          state: "completed",
          progress: 100,
          attempts: 2,
          step: "inventory",
          worker: "w-1",
          timestamps: { enqueued: "1970-01-01T00:00:01Z", started: "1970-01-01T00:00:02Z", finished: null },
          error: "mail server said no",
          receipt: { jobId: "b", offset: 3, nothing: null },
          result: { confirmationNumber: "CONF-1" },
        },
        kafka: null,
      },
    });
    expect(legs.kafka).toBeUndefined();
    expect(confirmationNumber).toBe("CONF-1");
    expect(legs.rq).toMatchObject({ enqueued: 1000, started: 2000, finished: null, error: "mail server said no" });
    expect(legs.rq?.receipt).toEqual([
      ["jobId", "b"],
      ["offset", "3"],
    ]);
  });

  it("survives an answer that lacks any part", () => {
    for (const body of [{}, { status: null }, { status: {} }, { status: { rq: {} } }, { status: { kafka: null } }]) {
      expect(() => toBooking(body)).not.toThrow();
    }
  });
});

describe("problem", () => {
  const answer = (body: unknown, status: number) => new Response(JSON.stringify(body), { status });

  it("reads RFC 9457 with its fields", async () => {
    const body = { title: "Bad", detail: "Two fields", errors: [{ field: "guests", message: "too many" }] };
    expect(await problem(answer(body, 400))).toMatchObject({
      message: "Two fields",
      status: 400,
      fields: [{ field: "guests", message: "too many" }],
    });
  });

  it("makes do with the old `error`, and with no body at all", async () => {
    expect((await problem(answer({ error: "Missing type or data" }, 400))).message).toBe("Missing type or data");
    expect((await problem(new Response("<html>", { status: 504 }))).message).toBe("Answered 504");
  });
});

describe("the rest before another try", () => {
  it("is as long as was asked for, and no more than a minute", async () => {
    const refusal = (after: string) =>
      problem(new Response("{}", { status: 503, headers: after ? { "Retry-After": after } : {} }));
    expect(restAfter(await refusal("10"), 2000)).toBe(10_000);
    expect(restAfter(await refusal("1"), 2000)).toBe(2000);
    expect(restAfter(await refusal("86400"), 2000)).toBe(60_000);
    expect(restAfter(await refusal("Thu, 26 Nov 2026 12:00:00 GMT"), 2000)).toBe(2000);
    expect(restAfter(await refusal(""), 2000)).toBe(2000);
    expect(restAfter(new Error("broken"), 2000)).toBe(2000);
  });
});

describe("a refusal", () => {
  it("does not tell a reader of pages to send a header", async () => {
    const headers = { "WWW-Authenticate": "Bearer" };
    const refusal = new Response('{"detail":"Send it as `x-api-key`"}', { status: 401, headers });
    expect(await problem(refusal)).toMatchObject({ message: "An API key is needed", status: 401 });
  });
});

describe("time", () => {
  it("takes ms and ISO dates, and no nonsense", () => {
    expect([instant(5), instant("1970-01-01T00:00:01Z"), instant(0), instant("soon"), instant(null)]).toEqual([
      5,
      1000,
      null,
      null,
      null,
    ]);
  });

  it("minds a clock that is off, not the fraction of a second that HTTP leaves out", () => {
    expect([skewOf(10_000, 10_900), skewOf(3_600_000, 0), skewOf(null, 5)]).toEqual([0, 3_600_000, 0]);
  });
});
