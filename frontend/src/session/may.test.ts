import { describe, expect, it } from "vitest";
import { BOOK, BREAK, LOOK_AT_ALL, SEND_AGAIN, isOperators, lacking, needOf } from "./may.ts";
import { type Session, nobody } from "./session.ts";

const withKey = (tenant: string, ...scopes: string[]): Session => ({ ...nobody, access: "held", grant: { tenant, scopes } });

describe("lacking", () => {
  it("keeps a tenant's key from what is about all tenants, whatever its scopes", () => {
    const acme = withKey("acme", "bookings:read", "ops:read");
    expect(lacking(acme, needOf("overview"))).toContain("tenant acme");
    expect(lacking(acme, needOf("letters"))).toBe("");
    expect([BOOK, BREAK].map((need) => lacking(withKey("acme", "bookings:write"), need))).toEqual(["", expect.stringContaining("tenant acme")]);
    expect(lacking(withKey("", "ops:read"), LOOK_AT_ALL)).toBe("");
  });

  it("names the scope that is missing", () => {
    const reader = withKey("", "bookings:read");
    expect([BOOK, SEND_AGAIN].map((need) => lacking(reader, need))).toEqual([
      expect.stringContaining("bookings:write"),
      expect.stringContaining("ops:write"),
    ]);
  });

  it("is an operator's only where the suite is looked at or mended", () => {
    expect([LOOK_AT_ALL, SEND_AGAIN, BOOK, needOf("jobs"), null].map(isOperators)).toEqual([true, true, false, false, false]);
  });

  it("is nothing where no key is needed, none is there yet, or a gateway says nothing of it", () => {
    const grant = { tenant: "", scopes: [] };
    for (const session of [nobody, { ...nobody, access: "needed" as const, grant }, { ...nobody, access: "held" as const }])
      expect(lacking(session, LOOK_AT_ALL)).toBe("");
  });
});
