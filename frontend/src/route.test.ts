import { describe, expect, it } from "vitest";
import { followPath, parseRoute } from "./route.ts";

describe("parseRoute", () => {
  it.each([
    ["/", { page: "overview" }],
    ["/bookings/new", { page: "create" }],
    ["/bookings/new/", { page: "create" }],
    ["/bookings/0b7e", { page: "follow", id: "0b7e" }],
    ["/bookings/", { page: "unknown", path: "/bookings/" }],
    ["/bookings/a/b", { page: "unknown", path: "/bookings/a/b" }],
    ["/bookings/%zz", { page: "unknown", path: "/bookings/%zz" }],
  ])("%s", (path, route) => {
    expect(parseRoute(path)).toEqual(route);
  });

  it("leads back from any id", () => {
    expect(parseRoute(followPath("a/b ü?"))).toEqual({ page: "follow", id: "a/b ü?" });
  });
});
