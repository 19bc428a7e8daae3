import { expect, it } from "vitest";
import { summary, toHealth } from "./health.ts";

it("does not tell as of now what the services were some time ago", () => {
  const services = [
    { name: "api", url: "u", status: "healthy" as const },
    { name: "queue", url: "v", status: "unhealthy" as const, error: "answered 503" },
  ];
  const now = toHealth({ services, stale: false, ageSeconds: 0.2, error: null });
  expect(now).toMatchObject({ stale: "", services: [{ healthy: true, note: "" }, { healthy: false, note: "answered 503" }] });
  expect(summary(now)).toBe("1 of 2 healthy");
  const then = toHealth({ services, stale: true, ageSeconds: 12.3, error: "no answer within 4 s" });
  expect(then.stale).toBe("Stale, from 12 s ago: no answer within 4 s");
  expect(summary(then)).toBe("");
  expect(summary(toHealth({ services: services.slice(0, 1) }))).toBe("all 1 healthy");
});
