import { describe, expect, it } from "vitest";
import { ApiError, toBooking } from "../api.ts";
import { type Change, isFinal, nothingYet, reduce } from "./follow.ts";

const booking = toBooking({ bookingId: "b", state: "processing", status: {} });
const after = (...changes: Change[]) => changes.reduce(reduce, nothingYet);
const broken: Change = { type: "failed", error: new ApiError("The gateway cannot be reached", 502) };
const status: Change = { type: "status", booking, at: 7 };

describe("reduce", () => {
  it("keeps what was last received when the gateway is gone, and says so", () => {
    expect(after(status, broken)).toMatchObject({ booking, at: 7, error: { status: 502 } });
  });

  it("forgets the error with the next answer", () => {
    expect(after(broken, status).error).toBeNull();
  });

  it("says of a history that something is missing, and keeps what it has", () => {
    const event = { id: "1-0", job: "b", kind: "a", at: 1, backend: null, step: "", by: null, attempt: 0, starts: 0, worker: "", error: "", due: null, refunded: null };
    expect(after({ type: "events", events: [event] }, { type: "reset" })).toMatchObject({ events: [event], cut: true });
  });
});

describe("isFinal", () => {
  it("is so for a booking that is not there, not for a gateway or a key that may come", () => {
    expect([404, 403, 401, 502, 503, 0].map((code) => isFinal(new ApiError("", code)))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});
