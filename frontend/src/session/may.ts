import type { Route } from "../route.ts";
import type { Session } from "./session.ts";

/** A scope that a key has to have; `whole`: it is about all tenants, so no tenant's key will do. */
export type Need = { scope: "bookings:read" | "bookings:write" | "ops:read" | "ops:write"; whole?: true };

export const LOOK_AT_ALL: Need = { scope: "ops:read", whole: true };
export const CHANGE_ALL: Need = { scope: "ops:write", whole: true };
export const BOOK: Need = { scope: "bookings:write" };
/** To book with simulated faults: a crash takes a worker along, and everybody's jobs on it. */
export const BREAK: Need = { scope: "bookings:write", whole: true };
export const SEE_LETTERS: Need = { scope: "ops:read" };
export const SEND_AGAIN: Need = { scope: "ops:write" };

const PAGES: Record<Route["page"], Need | null> = {
  overview: LOOK_AT_ALL,
  jobs: { scope: "bookings:read" },
  follow: { scope: "bookings:read" },
  create: BOOK,
  letters: SEE_LETTERS,
  letter: SEE_LETTERS,
  workers: LOOK_AT_ALL,
  backends: LOOK_AT_ALL,
  unknown: null,
};

/** A tenant's own key may book and look; what is about the suite is an operator's. */
export const isOperators = (need: Need | null): boolean => need?.scope.startsWith("ops:") === true;

export const needOf = (page: Route["page"]): Need | null => PAGES[page];

/** Why the key in use will not do, in words; "" where it will, or where nothing is known of it: then it is tried. */
export function lacking({ access, grant }: Session, need: Need | null): string {
  if (access !== "held" || !grant || !need) return "";
  if (need.whole && grant.tenant) return `It is about all tenants, and the key in use is the tenant ${grant.tenant}'s`;
  return grant.scopes.includes(need.scope) ? "" : `It needs a key with the scope ${need.scope}, which the one in use has not`;
}
