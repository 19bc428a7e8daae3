import { describe, expect, it } from "vitest";
import { type Message, sseParser } from "./sse.ts";

function parse(...chunks: string[]): Message[] {
  const found: Message[] = [];
  const feed = sseParser((message) => found.push(message));
  for (const chunk of chunks) feed(chunk);
  return found;
}

describe("sseParser", () => {
  it("reads named and unnamed events, and keeps the last id", () => {
    expect(parse("id: 1-0\nevent: step\ndata: {}\n\ndata: two\n\n")).toEqual([
      { id: "1-0", event: "step", data: "{}" },
      { id: "1-0", event: "message", data: "two" },
    ]);
  });

  it("joins data lines, passes over comments, unknown fields and events without data", () => {
    expect(parse(": ping\n\nretry: 500\nevent: empty\n\ndata: a\ndata\ndata:b\n\n")).toEqual([
      { id: "", event: "message", data: "a\n\nb" },
    ]);
  });

  it.each(["\n", "\r\n", "\r"])("takes %j as the end of a line, wherever the chunks are cut", (end) => {
    const whole = ["id: 7", "event: started", "data: x", "", "data: y", "", ": last"].join(end);
    const expected = [
      { id: "7", event: "started", data: "x" },
      { id: "7", event: "message", data: "y" },
    ];
    for (let cut = 0; cut <= whole.length; cut += 1) {
      expect(parse(whole.slice(0, cut), whole.slice(cut))).toEqual(expected);
    }
    expect(parse(...whole)).toEqual(expected);
  });

  it("gives nothing of an event that never ended", () => {
    expect(parse("data: half\n")).toEqual([]);
  });
});
