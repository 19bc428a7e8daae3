import { describe, expect, it } from "vitest";
import { toBooking } from "../api.ts";
import { doing, isSettled, outcome, places } from "./lanes.ts";

const leg = (state: string, more: object = {}) => ({ state, progress: 0, attempts: 1, ...more });
const booking = (state: string, status: object) => toBooking({ bookingId: "b", state, status });

describe("places", () => {
  it("ranks the lanes that came in; equal times share a place", () => {
    const at = (finished: number) => leg("completed", { timestamps: { finished } });
    expect(places(booking("confirmed", { rq: at(30), redisStreams: at(20), kafka: at(20) }))).toEqual({
      redisStreams: 1,
      kafka: 1,
      rq: 3,
    });
  });

  it("gives a dead lane none", () => {
    const dead = leg("dead", { timestamps: { finished: 5 } });
    expect(places(booking("failed", { rq: dead, kafka: leg("active") }))).toEqual({});
  });
});

describe("isSettled", () => {
  it("waits for the last lane, also of a confirmed booking", () => {
    expect(isSettled(booking("confirmed", { rq: leg("completed"), kafka: leg("active") }))).toBe(false);
    expect(isSettled(booking("confirmed", { rq: leg("completed"), kafka: leg("dead") }))).toBe(true);
    expect(isSettled(booking("processing", { rq: leg("completed") }))).toBe(false);
  });
});

describe("words", () => {
  it("tell a step that is under way from one that is done", () => {
    const of = (step: string, progress: number) =>
      booking("processing", { rq: leg("active", { step, progress }) }).legs.rq ?? expect.fail("no leg");
    expect(doing(of("mail", 50))).toBe("Mail …");
    expect(doing(of("mail", 80))).toBe("Mail done");
    expect(doing(of("", 0))).toBe("Started");
    expect(doing({ ...of("", 0), state: "queued" }, true)).toBe("Waits: its backend is paused");
    expect(doing({ ...of("", 0), state: "dead", error: "why" }, false, "Ran again on RQ")).toBe("Died: why. Ran again on RQ");
    expect(doing({ ...of("inventory", 100), state: "completed" })).toBe("All five steps done");
    expect(doing({ ...of("validate", 100), state: "completed" })).toBe("Ended: the booking is rejected");
  });

  it("give a failed booking its reason, and say what became of the money", () => {
    const dead = leg("dead", { error: "card declined" });
    const said = (compensation: object | null) =>
      outcome(toBooking({ bookingId: "b", state: "failed", status: { rq: dead }, compensation }));
    const ended = "Every lane ended without a confirmation: card declined.";
    expect(said({ refunded: 0, mailed: false })).toBe(`${ended} Nothing was charged.`);
    expect(said({ refunded: 18_000, mailed: true })).toBe(`${ended} The charge was given back.`);
    expect(said(null)).toBe(`${ended} What was charged, if anything, is being given back.`);
  });
});
