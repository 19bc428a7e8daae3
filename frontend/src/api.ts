/** Everything the pages ask of the suite. Answers are read with care: a missing part shows as missing, never as a crash. */

import type { AcceptedBooking, BookingStatus, Compensation, LegAnswer, NewBooking } from "./openapi/api.ts";

/** An answer as it may come from an older or a newer service: parts may be missing, words may be new. */
export type Told<T> = T extends string
  ? string
  : T extends readonly (infer Each)[]
    ? readonly (Told<Each> | null)[]
    : T extends object
      ? { readonly [Name in keyof T]?: Told<T[Name]> | null | undefined }
      : T;

export const BACKENDS = ["rq", "redisStreams", "kafka"] as const;
export type Backend = (typeof BACKENDS)[number];
export const BACKEND_NAMES: Record<Backend, string> = { rq: "RQ", redisStreams: "Redis Streams", kafka: "Kafka" };

/** Where there is little room. */
export const SHORT_NAMES: Record<Backend, string> = { ...BACKEND_NAMES, redisStreams: "Streams" };

export const STEPS = [
  { name: "validate", title: "Validate", until: 10 },
  { name: "payment", title: "Payment", until: 30 },
  { name: "document", title: "PDF", until: 50 },
  { name: "mail", title: "Mail", until: 80 },
  { name: "inventory", title: "Inventory", until: 90 },
] as const;
export type StepName = (typeof STEPS)[number]["name"];

export type FieldError = { field: string; message: string };

/** `status` 0: no answer came at all. `retryAfterMs`: how long it asks to be left alone; 0 when it does not. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  readonly fields: FieldError[];
  readonly retryAfterMs: number;

  constructor(message: string, status: number, fields: FieldError[] = [], retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.fields = fields;
    this.retryAfterMs = retryAfterMs;
  }
}

/** How long to wait before one more try: as long as it asked for, a minute at most, else `ms`. */
export const restAfter = (cause: unknown, ms: number): number =>
  Math.max(ms, Math.min(60_000, cause instanceof ApiError ? cause.retryAfterMs : 0));

export type Leg = {
  state: string;
  progress: number;
  attempts: number;
  step: string;
  worker: string;
  enqueued: number | null;
  started: number | null;
  finished: number | null;
  /** When it goes on, of one that waits for its time. */
  due: number | null;
  /** The limit that holds it up; "" for none. */
  limitedBy: string;
  error: string;
  receipt: [string, string][];
};

export type Booking = {
  id: string;
  state: string;
  legs: Partial<Record<Backend, Leg>>;
  confirmationNumber: string;
  /** A failed booking's money: `none` was taken, it is `back`, or it is on its way back (`owed`). */
  charge: "none" | "back" | "owed";
  /** How far this browser's clock is from the suite's, in ms; 0 when they agree to a second or two. */
  skew: number;
};

export type Json = Record<string, unknown>;

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const record = (value: unknown): Json => (isRecord(value) ? value : {});
export const list = <T>(value: readonly T[] | null | undefined): readonly T[] => (Array.isArray(value) ? value : []);
export const text = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
export const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);

/** A point in time as ms, from ms or from an ISO date. */
export function instant(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) && value > 0 ? value : null;
  const parsed = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(parsed) ? null : parsed;
}

/** What went wrong, in words: a string as it is, of a problem or an error record its telling part. */
export function reason(value: unknown): string {
  if (typeof value === "string") return value;
  const it = record(value);
  return text(it["detail"]) || text(it["message"]) || text(it["reason"]) || text(it["error"]) || text(it["title"]);
}

const TIMEOUT_MS = 10_000;

async function request(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(path, {
      ...init,
      headers: { Accept: "application/json", ...init.headers },
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const why = limit.aborted ? `No answer within ${TIMEOUT_MS / 1000} s` : "This page's own server cannot be reached";
    throw new ApiError(why, 0);
  }
}

let refused = (): void => undefined;

/** What happens when the suite wants a key. */
export function whenRefused(then: () => void): void {
  refused = then;
}

/** The error an answer stands for; RFC 9457, or whatever else came. */
export async function problem(response: Response): Promise<ApiError> {
  if (response.status === 401) refused();
  if (response.headers.has("WWW-Authenticate")) return new ApiError("An API key is needed", response.status);
  const body = record(await response.json().catch(() => null));
  const errors = body["errors"];
  const fields = (Array.isArray(errors) ? errors : []).map((each: unknown) => ({
    field: text(record(each)["field"]),
    message: text(record(each)["message"]),
  }));
  const words = reason(body) || `Answered ${response.status}${response.statusText ? ` ${response.statusText}` : ""}`;
  return new ApiError(words, response.status, fields, 1000 * (Number(response.headers.get("Retry-After")) || 0));
}

type Answer<T> = { body: Told<T>; date: number | null };

export async function answer<T>(path: string, init: RequestInit, signal?: AbortSignal): Promise<Answer<T>> {
  const response = await request(path, init, signal);
  if (!response.ok) throw await problem(response);
  const body: unknown = await response.json().catch(() => null);
  if (!isRecord(body)) throw new ApiError("The answer is not JSON", response.status);
  return { body: body as Told<T>, date: instant(response.headers.get("Date")) };
}

function toLeg(value: Told<LegAnswer>): Leg {
  const times = value.timestamps;
  const receipt = Object.entries(record(value.receipt)).map(([key, part]): [string, string] => [key, text(part)]);
  return {
    state: text(value.state) || "unknown",
    progress: Math.min(100, Math.max(0, number(value.progress))),
    attempts: number(value.attempts),
    step: text(value.step),
    worker: text(value.worker),
    enqueued: instant(times?.enqueued),
    started: instant(times?.started),
    finished: instant(times?.finished),
    due: instant(value.due),
    limitedBy: text(value.limitedBy),
    error: reason(value.error),
    receipt: receipt.filter(([, part]) => part !== ""),
  };
}

/** HTTP dates are whole seconds, so a smaller difference says nothing. */
export function skewOf(date: number | null, local: number): number {
  const skew = date === null ? 0 : date - local;
  return Math.abs(skew) > 2_000 ? skew : 0;
}

function toCharge(made: Told<Compensation> | null | undefined): Booking["charge"] {
  if (!made) return "owed";
  return number(made.refunded) > 0 ? "back" : "none";
}

export const toBackend = (value: unknown): Backend | null => BACKENDS.find((each) => each === value) ?? null;

export function toBooking(it: Told<BookingStatus>, date: number | null = null, local = Date.now()): Booking {
  const legs: Booking["legs"] = {};
  let confirmationNumber = "";
  for (const backend of BACKENDS) {
    const leg = it.status?.[backend];
    if (!leg) continue;
    legs[backend] = toLeg(leg);
    confirmationNumber ||= text(record(leg.result)["confirmationNumber"]);
  }
  const [id, state, charge] = [text(it.bookingId), text(it.state), toCharge(it.compensation)];
  return { id, state, legs, confirmationNumber, charge, skew: skewOf(date, local) };
}

export const bookingPath = (id: string) => `/api/bookings/${encodeURIComponent(id)}`;
export const confirmationUrl = (id: string) => `${bookingPath(id)}/confirmation.pdf`;
export const eventsUrl = (id: string) => `${bookingPath(id)}/events`;

export async function readBooking(id: string, signal: AbortSignal): Promise<Booking> {
  const { body, date } = await answer<BookingStatus>(`${bookingPath(id)}/status`, {}, signal);
  return toBooking(body, date);
}

/** Whether what was sent may have been done all the same: no answer came, half of one, or one by somebody in between. */
export const inDoubt = (cause: unknown): boolean =>
  cause instanceof ApiError && (cause.status < 400 || cause.status === 409 || cause.status >= 500);

/** A request with JSON in it; with a `key` it can be sent again, and is done once. */
export async function send<T>(method: "POST" | "PUT", path: string, body: unknown, key = ""): Promise<Told<T>> {
  const headers = { "Content-Type": "application/json", ...(key ? { "Idempotency-Key": key } : {}) };
  return (await answer<T>(path, { method, headers, body: JSON.stringify(body) })).body;
}

export async function createBooking(booking: NewBooking, key: string): Promise<string> {
  const id = text((await send<AcceptedBooking>("POST", "/api/bookings", booking, key)).bookingId);
  if (!id) throw new ApiError("The answer names no booking", 202);
  return id;
}
