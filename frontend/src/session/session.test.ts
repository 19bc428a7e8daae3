import { afterEach, describe, expect, it, vi } from "vitest";
import { readBooking } from "../api.ts";
import { type Change, type Session, begin, forget, nobody, onKey, open, reduce, snapshot } from "./session.ts";

const after = (...changes: Change[]): Session => changes.reduce(reduce, nobody);
const held: Change = { type: "told", required: true, held: true };

describe("reduce", () => {
  it("asks where a request is refused, once", () => {
    const refused = after({ type: "told", required: true, held: false }, { type: "refused" });
    expect(refused).toMatchObject({ access: "needed", asking: true });
    expect(after(held, { type: "refused" })).toMatchObject({ access: "needed", asking: true });
    expect(after(held, { type: "refused" }, { type: "close" }, { type: "refused" }).asking).toBe(false);
  });

  it("does not ask where no key is needed", () => {
    expect(after({ type: "told", required: false, held: false })).toMatchObject({ access: "open", asking: false });
  });

  it("keeps a wrong key's dialog open with the reason, and a right one begins a new round", () => {
    const wrong = after(held, { type: "refused" }, { type: "sent" }, { type: "failed", error: "no" });
    expect(wrong).toMatchObject({ asking: true, sending: false, error: "no", round: 0 });
    const right = [wrong].map((state) => reduce(reduce(state, { type: "sent" }), { type: "opened" }))[0];
    expect(right).toMatchObject({ access: "held", asking: false, error: "", round: 1 });
  });

  it("takes no late refusal for one of now while the key is on its way", () => {
    expect(after(held, { type: "sent" }, { type: "refused" }).access).toBe("held");
  });

  it("asks again when the key is forgotten, and knows nothing of it any more", () => {
    const acme: Change = { ...held, grant: { tenant: "acme", scopes: ["ops:read"] } };
    expect(after(acme)).toMatchObject({ access: "held", grant: { tenant: "acme" } });
    expect(after(acme, { type: "forgotten" })).toMatchObject({ access: "needed", asking: true, grant: null });
  });
});

describe("whose session it is", () => {
  const opened = (tenant: string, ...scopes: string[]): Change => ({ type: "opened", grant: { tenant, scopes } });
  const expired: Change[] = [opened("acme", "ops:read", "ops:write"), { type: "refused" }];

  it("stays so when the same is entered again: what was being edited stays", () => {
    const again = after(...expired, { type: "sent" }, opened("acme", "ops:write", "ops:read"));
    expect(again).toMatchObject({ access: "held", whose: after(...expired).whose, round: 2 });
  });

  it("is another's with another tenant, with other scopes, and when the key is forgotten", () => {
    for (const change of [opened("other", "ops:read", "ops:write"), opened("acme", "ops:read"), { type: "forgotten" } as const])
      expect(after(...expired, change).whose).toBe(1);
    expect(after(...expired, { type: "opened" }).whose).toBe(1);
  });

  it("is nobody else's where the first key comes to what was shown without one", () => {
    expect(after({ type: "refused" }, opened("acme", "bookings:write")).whose).toBe(0);
  });
});

describe("a session", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is waited for until the gateway says, or nobody does", async () => {
    vi.resetModules();
    const fresh = await import("./session.ts");
    expect(fresh.snapshot().access).toBe("unknown");
    vi.stubGlobal("fetch", async () => new Response("{}", { status: 502 }));
    await fresh.begin();
    expect(fresh.snapshot().access).toBe("untold");
  });

  const answering = (status: number, body: object) => vi.fn(async () => new Response(JSON.stringify(body), { status }));

  it("goes from refused through a wrong key to open and back", async () => {
    const heard: boolean[] = [];
    onKey((another) => heard.push(another));
    vi.stubGlobal("fetch", answering(200, { required: true, expiresAt: "2026-01-01T00:00:00Z" }));
    await begin();
    expect(snapshot().access).toBe("held");

    vi.stubGlobal("fetch", answering(401, { detail: "That is not the API key" }));
    await expect(readBooking("b", new AbortController().signal)).rejects.toThrow("not the API key");
    await vi.waitFor(() => expect(snapshot()).toMatchObject({ access: "needed", asking: true }));
    await open("wrong");
    expect(snapshot()).toMatchObject({ asking: true, error: "That is not the API key" });
    expect(heard).toEqual([]);

    const told = { required: true, expiresAt: "2026-01-01T00:00:00Z", tenant: "acme", scopes: ["bookings:read"] };
    const fetch = answering(200, told);
    vi.stubGlobal("fetch", fetch);
    await open("right");
    expect(snapshot()).toMatchObject({ access: "held", asking: false, grant: { tenant: "acme", scopes: ["bookings:read"] } });
    expect(fetch).toHaveBeenCalledWith("/api/session", expect.objectContaining({ body: '{"apiKey":"right"}' }));

    // One that was sent before the key is refused after it.
    vi.stubGlobal("fetch", async (path: string) =>
      path === "/api/session" ? new Response(JSON.stringify(told)) : new Response("{}", { status: 401 }),
    );
    await expect(readBooking("b", new AbortController().signal)).rejects.toThrow();
    await new Promise((resolve) => setTimeout(resolve));
    expect(snapshot()).toMatchObject({ access: "held", asking: false, grant: { tenant: "acme" } });

    await forget();
    expect(snapshot()).toMatchObject({ access: "needed", asking: true });
    expect(heard).toEqual([false, true]);
  });
});
