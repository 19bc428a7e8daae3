import { describe, expect, it } from "vitest";
import { PRESETS, another, day, emptyDraft, isPreset, nights, serverErrors, toBooking, validate } from "./booking.ts";

const draft = emptyDraft(new Date(2027, 1, 27));

describe("an untouched draft", () => {
  it("is valid and stays two nights from tomorrow, over the end of a month too", () => {
    expect(validate(draft)).toEqual({});
    expect([draft.checkIn, draft.checkOut, nights(draft)]).toEqual(["2027-02-28", "2027-03-02", 2]);
  });

  it("sends no more than the booking itself", () => {
    expect(toBooking(draft)).toEqual({
      userId: "user-1",
      hotelId: "hotel-1",
      checkIn: "2027-02-28",
      checkOut: "2027-03-02",
      guests: 2,
      roomType: "standard",
    });
  });
});

describe("another booking", () => {
  it("keeps who books where, and nothing that was broken on purpose", () => {
    const last = { ...draft, userId: "ada", hotelId: "grand", guests: "4", failAt: "mail", times: "9", crash: true };
    expect(another(last, new Date(2027, 1, 27))).toEqual({ ...draft, userId: "ada", hotelId: "grand" });
  });
});

describe("validate", () => {
  it.each([
    [{ userId: "  " }, { userId: "Required" }],
    [{ userId: "a\u0007" }, { userId: "No control characters" }],
    [{ hotelId: "h".repeat(101) }, { hotelId: "At most 100 characters" }],
    [{ guests: "0" }, { guests: "From 1 to 10" }],
    [{ guests: "11" }, { guests: "From 1 to 10" }],
    [{ guests: "2.5" }, { guests: "A whole number" }],
    [{ guests: "" }, { guests: "A whole number" }],
    [{ guests: "-1" }, { guests: "A whole number" }],
    [{ roomType: "cave" }, { roomType: "Choose one" }],
    [{ backends: [] }, { backends: "Choose at least one" }],
    [{ checkIn: "" }, { checkIn: "Required" }],
    [{ checkIn: "2027-02-30" }, { checkIn: "Not a date" }],
    [{ checkOut: "2027-02-28" }, { checkOut: "Later than check-in" }],
    [{ checkOut: "2028-02-28" }, {}],
    [{ checkOut: "2028-02-29" }, { checkOut: "At most 365 nights" }],
    [{ checkIn: "1999-12-31", checkOut: "2000-01-01" }, {}],
    [{ delaySeconds: "-1" }, { delaySeconds: "A whole number" }],
    [{ slowMs: "60001" }, { slowMs: "From 0 to 60,000" }],
    [{ crash: true }, { failAt: "Choose the step to crash at" }],
    [{ crash: true, failAt: "mail" }, {}],
    [{ times: "11", failAt: "mail" }, { times: "From 1 to 10" }],
    [{ times: "11", failAt: "" }, {}],
  ])("%o gives %o", (change, errors) => {
    expect(validate({ ...draft, ...change })).toEqual(errors);
  });
});

describe("day", () => {
  it("knows the calendar", () => {
    expect(day("2028-02-29")).not.toBeNull();
    expect(day("2027-02-29")).toBeNull();
    expect(day("2027-2-9")).toBeNull();
    expect(day("1970-01-02")).toBe(1);
  });
});

describe("toBooking", () => {
  it("names what differs from the defaults", () => {
    const changed = { ...draft, backends: ["kafka" as const], priority: "high", delaySeconds: "5" };
    expect(toBooking(changed)).toMatchObject({ backends: ["kafka"], priority: "high", delaySeconds: 5 });
  });

  it.each([
    ["Nothing", undefined],
    ["Retry", { failAt: "mail", times: 1 }],
    ["Dead letter", { failAt: "payment", times: 10 }],
    ["Crash", { failAt: "document", times: 1, crash: true }],
    ["Slow", { slowMs: 1000 }],
  ])("the preset %s is valid, recognised, and simulates %o", (name, simulate) => {
    const preset = PRESETS.find((each) => each.name === name);
    const changed = { ...draft, ...preset?.change };
    expect(validate(changed)).toEqual({});
    expect(toBooking(changed).simulate).toEqual(simulate);
    expect(PRESETS.filter((each) => isPreset(each, changed))).toEqual([preset]);
  });
});

describe("serverErrors", () => {
  it("puts each complaint at its field, the first one if there are several", () => {
    const { errors, rest } = serverErrors([
      { field: "body.checkOut", message: "must be later" },
      { field: "simulate.times", message: "too many" },
      { field: "simulate.times", message: "second" },
      { field: "tenant", message: "too long" },
      { field: "", message: "the whole body" },
    ]);
    expect(errors).toEqual({ checkOut: "must be later", times: "too many" });
    expect(rest).toEqual(["tenant: too long", "the whole body"]);
  });
});
