import { BACKENDS, type Backend, type FieldError, STEPS, type StepName } from "../api.ts";
import type { NewBooking } from "../openapi/api.ts";

export const ROOM_TYPES = ["standard", "deluxe", "suite", "presidential"] as const satisfies NewBooking["roomType"][];
export const PRIORITIES = ["low", "normal", "high", "critical"] as const satisfies NewBooking["priority"][];

/** What stands in the form, as it was typed. */
export type Draft = {
  userId: string;
  hotelId: string;
  checkIn: string;
  checkOut: string;
  guests: string;
  roomType: string;
  backends: Backend[];
  priority: string;
  delaySeconds: string;
  orderingKey: string;
  amount: string;
  spread: string;
  failAt: string;
  times: string;
  slowMs: string;
  crash: boolean;
};

export type Field = keyof Draft;
export type Errors = { [F in Field]?: string | undefined };

const DAY_MS = 86_400_000;
const MAX_NIGHTS = 365;
export const MAX_AMOUNT = 10_000;
const MAX_KEY = 200;
const MAX_DELAY = 31_536_000;

export function emptyDraft(today: Date): Draft {
  const inDays = (ahead: number) =>
    new Date(Date.UTC(today.getFullYear(), today.getMonth(), today.getDate() + ahead)).toISOString().slice(0, 10);
  return {
    userId: "user-1",
    hotelId: "hotel-1",
    checkIn: inDays(1),
    checkOut: inDays(3),
    guests: "2",
    roomType: "standard",
    backends: [...BACKENDS],
    priority: "normal",
    delaySeconds: "0",
    orderingKey: "",
    amount: "1",
    spread: "race",
    failAt: "",
    times: "1",
    slowMs: "0",
    crash: false,
  };
}

export function another(last: Draft, today: Date): Draft {
  return { ...emptyDraft(today), userId: last.userId, hotelId: last.hotelId };
}

/** Days since 1970 of an ISO date that the calendar has; null otherwise (2027-02-30 is not one). */
export function day(iso: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(iso)) return null;
  const at = new Date(`${iso}T00:00:00Z`);
  return Number.isNaN(at.getTime()) || at.toISOString().slice(0, 10) !== iso ? null : at.getTime() / DAY_MS;
}

export function nights(draft: Draft): number | null {
  const [from, to] = [day(draft.checkIn), day(draft.checkOut)];
  return from !== null && to !== null && to > from ? to - from : null;
}

// oxlint-disable-next-line no-control-regex -- the gateway refuses exactly these
const CONTROL = /[\u0000-\u001f\u007f]/;

function identity(value: string): string | undefined {
  if (value.trim() === "") return "Required";
  if (value.length > 100) return "At most 100 characters";
  return CONTROL.test(value) ? "No control characters" : undefined;
}

function orderingKey(value: string): string | undefined {
  if (value.length > MAX_KEY) return `At most ${MAX_KEY} characters`;
  return CONTROL.test(value) ? "No control characters" : undefined;
}

function whole(value: string, from: number, to: number): string | undefined {
  if (!/^\d+$/.test(value.trim())) return "A whole number";
  const parsed = Number(value);
  return parsed < from || parsed > to ? `From ${from} to ${to.toLocaleString("en")}` : undefined;
}

function stay(draft: Draft): Errors {
  const [from, to] = [day(draft.checkIn), day(draft.checkOut)];
  const errors: Errors = {};
  if (from === null) errors.checkIn = draft.checkIn ? "Not a date" : "Required";
  if (to === null) errors.checkOut = draft.checkOut ? "Not a date" : "Required";
  if (from === null || to === null) return errors;
  if (to <= from) errors.checkOut = "Later than check-in";
  else if (to - from > MAX_NIGHTS) errors.checkOut = `At most ${MAX_NIGHTS} nights`;
  return errors;
}

const oneOf = (value: string, known: readonly string[]) => (known.includes(value) ? undefined : "Choose one");

export function validate(draft: Draft): Errors {
  const found: Errors = {
    userId: identity(draft.userId),
    hotelId: identity(draft.hotelId),
    guests: whole(draft.guests, 1, 10),
    roomType: oneOf(draft.roomType, ROOM_TYPES),
    backends: draft.backends.length === 0 ? "Choose at least one" : undefined,
    priority: oneOf(draft.priority, PRIORITIES),
    delaySeconds: whole(draft.delaySeconds, 0, MAX_DELAY),
    orderingKey: orderingKey(draft.orderingKey),
    amount: whole(draft.amount, 1, MAX_AMOUNT),
    failAt: draft.crash && !draft.failAt ? "Choose the step to crash at" : undefined,
    times: draft.failAt ? whole(draft.times, 1, 10) : undefined,
    slowMs: whole(draft.slowMs, 0, 60_000),
    ...stay(draft),
  };
  return Object.fromEntries(Object.entries(found).filter(([, message]) => message !== undefined));
}

function simulation(draft: Draft): NewBooking["simulate"] {
  const step = STEPS.find((each) => each.name === draft.failAt)?.name;
  const slowMs = Number(draft.slowMs);
  if (!step && slowMs === 0) return undefined;
  return {
    ...(step ? { failAt: step, times: Number(draft.times) } : {}),
    ...(slowMs > 0 ? { slowMs } : {}),
    ...(draft.crash ? { crash: true } : {}),
  };
}

/** The request of a valid draft: only what differs from the defaults. */
export function toBooking(draft: Draft): NewBooking {
  const simulate = simulation(draft);
  const delaySeconds = Number(draft.delaySeconds);
  const priority = PRIORITIES.find((each) => each === draft.priority && each !== "normal");
  return {
    userId: draft.userId.trim(),
    hotelId: draft.hotelId.trim(),
    checkIn: draft.checkIn,
    checkOut: draft.checkOut,
    guests: Number(draft.guests),
    roomType: ROOM_TYPES.find((each) => each === draft.roomType) ?? "standard",
    ...(draft.backends.length < BACKENDS.length ? { backends: draft.backends } : {}),
    ...(priority ? { priority } : {}),
    ...(delaySeconds > 0 ? { delaySeconds } : {}),
    ...(draft.orderingKey.trim() ? { orderingKey: draft.orderingKey.trim() } : {}),
    ...(simulate ? { simulate } : {}),
  };
}

const FIELDS = new Set<string>(Object.keys(emptyDraft(new Date(0))));
const isField = (name: string): name is Field => FIELDS.has(name);

/** The gateway's verdict, each complaint at its field ("body.simulate.times" is at `times`); the rest in words. */
export function serverErrors(fields: FieldError[]): { errors: Errors; rest: string[] } {
  const errors: Errors = {};
  const rest: string[] = [];
  for (const { field, message } of fields) {
    const name = field.split(".").find(isField);
    if (name) errors[name] ??= message;
    else rest.push(field ? `${field}: ${message}` : message);
  }
  return { errors, rest };
}

export type Preset = { name: string; does: string; change: Partial<Draft> };

const none = { failAt: "", times: "1", slowMs: "0", crash: false };
const at = (failAt: StepName) => ({ ...none, failAt });

export const PRESETS: Preset[] = [
  { name: "Nothing", does: "every step succeeds", change: none },
  { name: "Retry", does: "mail fails once, then succeeds", change: at("mail") },
  { name: "Dead letter", does: "payment fails at every attempt", change: { ...at("payment"), times: "10" } },
  { name: "Crash", does: "the worker dies in the PDF step", change: { ...at("document"), crash: true } },
  { name: "Slow", does: "every step takes 1 s longer", change: { ...none, slowMs: "1000" } },
];

export const isPreset = (preset: Preset, draft: Draft) =>
  (Object.keys(none) as (keyof typeof none)[]).every((key) => preset.change[key] === draft[key]);
