import { describe, expect, it } from "vitest";
import { toBooked } from "./booked.ts";

describe("toBooked", () => {
  const asked = { userId: "ada", hotelId: "ritz", checkIn: "2027-03-01", checkOut: "2027-03-02", guests: 2, roomType: "suite" };

  it("tells who booked what, and what was to go wrong", () => {
    const simulate = { failAt: "payment", times: 3, slowMs: 1500 };
    const facts = Object.fromEntries(toBooked({ ...asked, priority: "high", delaySeconds: 90, simulate }));
    expect(facts).toMatchObject({
      User: "ada",
      Stay: "2027-03-01 to 2027-03-02",
      Guests: "2",
      Priority: "high",
      "Delayed by": "1 min 30 s",
      Simulated: "fails at payment, 3 times; 1.50 s slower",
    });
    expect(Object.fromEntries(toBooked({ simulate: { failAt: "mail", crash: true } }))["Simulated"]).toBe("kills its worker at mail");
  });

  it("has the same names before anything is known, so that nothing moves", () => {
    const names = (facts: [string, string][]) => facts.map(([name]) => name);
    expect(names(toBooked(null))).toEqual(names(toBooked(asked)));
    expect(toBooked(null).every(([, value]) => value === "…")).toBe(true);
  });
});
