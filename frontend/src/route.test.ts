import { describe, expect, it } from "vitest";
import { followPath, parseRoute, withQuery } from "./route.ts";

describe("parseRoute", () => {
  it.each([
    ["/", { page: "overview" }],
    ["/bookings/new", { page: "create" }],
    ["/bookings/new/", { page: "create" }],
    ["/bookings/0b7e", { page: "follow", id: "0b7e" }],
    ["/bookings/", { page: "jobs" }],
    ["/dead-letters", { page: "letters" }],
    ["/dead-letters/kafka/a%2Fb", { page: "letter", backend: "kafka", id: "a/b" }],
    ["/dead-letters/pigeon/x", { page: "unknown", path: "/dead-letters/pigeon/x" }],
    ["/workers", { page: "workers" }],
    ["/backends", { page: "backends" }],
    ["/bookings/a/b", { page: "unknown", path: "/bookings/a/b" }],
    ["/bookings/%zz", { page: "unknown", path: "/bookings/%zz" }],
  ])("%s", (path, route) => {
    expect(parseRoute(path)).toEqual(route);
  });

  it("leads back from any id", () => {
    expect(parseRoute(followPath("a/b ü?"))).toEqual({ page: "follow", id: "a/b ü?" });
  });
});

describe("withQuery", () => {
  it("changes some parts, keeps the others and leaves empty ones out", () => {
    const query = new URLSearchParams("q=ada&state=active&cursor=x");
    expect(withQuery("/bookings", query, { state: "", cursor: "", backend: "rq" })).toBe("/bookings?q=ada&backend=rq");
    expect(withQuery("/bookings", new URLSearchParams("q=a"), { q: "" })).toBe("/bookings");
  });
});
