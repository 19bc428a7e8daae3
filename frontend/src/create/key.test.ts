import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { accepted, keyFor } from "./key.ts";

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  });
});
afterEach(() => vi.unstubAllGlobals());

it("is the same for as long as the same is sent, also after a reload, and another once it was accepted", async () => {
  const first = keyFor("a");
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(keyFor("a")).toBe(first);
  vi.resetModules();
  expect((await import("./key.ts")).keyFor("a")).toBe(first);
  const other = keyFor("b");
  expect(other).not.toBe(first);
  accepted();
  expect(keyFor("b")).not.toBe(other);
});

it("is there though the browser keeps nothing", () => {
  vi.stubGlobal("sessionStorage", undefined);
  const first = keyFor("a");
  expect(keyFor("a")).toBe(first);
  accepted();
  expect(keyFor("a")).not.toBe(first);
});
