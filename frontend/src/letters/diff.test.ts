import { describe, expect, it } from "vitest";
import { toLetter } from "./api.ts";
import { diff, parsePayload, pretty } from "./diff.ts";

const shown = (before: unknown, after: unknown) =>
  diff(pretty(before), pretty(after)).map(({ kind, text }) => `${{ same: " ", old: "-", new: "+" }[kind]}${text.trim()}`);

describe("diff", () => {
  it("shows what was changed, and what stays", () => {
    expect(shown({ a: 1, b: 2, c: 3 }, { a: 1, b: 5, c: 3 })).toEqual([" {", ' "a": 1,', '-"b": 2,', '+"b": 5,', ' "c": 3', " }"]);
  });

  it("shows what was put in and what was taken out, not everything behind it", () => {
    expect(shown({ a: 1, z: 0 }, { a: 1, b: 2, z: 0 }).filter((line) => line[0] !== " ")).toEqual(['+"b": 2,']);
    expect(shown({ a: 1, b: 2, z: 0 }, { a: 1, z: 0 }).filter((line) => line[0] !== " ")).toEqual(['-"b": 2,']);
    expect(shown({ a: 1 }, { a: 1, z: 0 }).filter((line) => line[0] !== " ")).toEqual(['+"z": 0']);
    expect(shown({}, {})).toEqual([" {}"]);
  });

  it("finds the common lines between two changes", () => {
    const [before, after] = [{ a: 1, keep: 0, b: 2 }, { a: 9, keep: 0, b: 8 }];
    expect(shown(before, after)).toContain(' "keep": 0,');
  });
});

describe("parsePayload", () => {
  it("takes an object, and says why it takes nothing else", () => {
    expect(parsePayload('{"a":1}')).toEqual({ data: { a: 1 }, error: "" });
    expect(parsePayload("[1]").error).toContain("object");
    expect(parsePayload("{a}").error).toMatch(/^Not JSON: /);
  });

  it("takes no number that it would change", () => {
    const large = '{"a": [{"order": 12345678901234567890}]}';
    expect(parsePayload(large)).toMatchObject({ data: null, error: expect.stringContaining("rounded") });
    expect(parsePayload('{"a": [9007199254740991, 0.1, 1.5e3, "12345678901234567890"]}').error).toBe("");
  });
});

describe("toLetter", () => {
  it("reads a letter with a part missing", () => {
    expect(toLetter({ id: "a", backend: "kafka", readable: false })).toMatchObject({
      backend: "kafka",
      error: "no reason given",
      readable: false,
      failedAt: null,
    });
  });
});
