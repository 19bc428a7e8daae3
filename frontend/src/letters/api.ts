import {
  type Backend,
  type Json,
  type Told,
  answer,
  bookingPath,
  instant,
  list,
  number,
  record,
  send,
  text,
  toBackend,
} from "../api.ts";
import { type FeedEvent, toEvent } from "../follow/events.ts";
import { isFinal } from "../follow/follow.ts";
import { type Filters, filtersOf } from "./filters.ts";
import type {
  DiscardedLetters,
  InspectedLetter,
  LetterAnswer,
  LetterPage as LetterPageAnswer,
  Redrive,
  RedrivenLetter,
  RedrivenLetters,
  Which as Named,
} from "../openapi/api.ts";

export type Letter = {
  id: string;
  backend: Backend;
  type: string;
  error: string;
  attempts: number;
  redrives: number;
  failedAt: number | null;
  step: string;
  worker: string;
  data: Json;
  /** No job of ours: it needs a type before it can run. */
  readable: boolean;
};

/** `isBooking`: it can be followed; a job that was put on a broker directly cannot. */
export type Inspected = Letter & { isBooking: boolean; legs: [string, string][]; receipt: Json; options: Json; timeline: FeedEvent[] };
export type LetterPage = { key: string; letters: Letter[]; next: string | null };
export type Outcome = { done: number; refused: string[] };

export const PAGE = 25;
const MOST_REQUESTS = 8;
const LETTERS = "/api/dead-letters";
const pathOf = (backend: Backend, id: string) => `${LETTERS}/${backend}/${encodeURIComponent(id)}`;

export function toLetter(it: Told<LetterAnswer> | null): Letter {
  return {
    id: text(it?.id),
    backend: toBackend(it?.backend) ?? "rq",
    type: text(it?.type),
    error: text(it?.error) || "no reason given",
    attempts: number(it?.attempts),
    redrives: number(it?.redrives),
    failedAt: instant(it?.failedAt),
    step: text(it?.step),
    worker: text(it?.worker),
    data: record(it?.data),
    readable: it?.readable !== false,
  };
}

export async function readLetters(search: string, signal: AbortSignal): Promise<LetterPage> {
  const asked = new URLSearchParams(search);
  const query = new URLSearchParams(filtersOf(asked));
  let letters: Letter[] = [];
  let next = asked.get("cursor");
  for (let requests = 0; requests < MOST_REQUESTS; requests += 1) {
    query.set("limit", String(PAGE - letters.length));
    if (next) query.set("cursor", next);
    const { body } = await answer<LetterPageAnswer>(`${LETTERS}?${query}`, {}, signal);
    letters = [...letters, ...list(body.items).map(toLetter)];
    next = text(body.nextCursor) || null;
    if (!next || letters.length >= PAGE) break;
  }
  return { key: search, letters, next };
}

const toTimeline = (value: readonly unknown[] | null | undefined): FeedEvent[] =>
  list(value).flatMap((each) => toEvent({ id: "", event: "", data: JSON.stringify(each) }) ?? []);

/** Not where there is none, or none for this key; that nobody answered says nothing of it. */
const isBooking = (id: string, signal: AbortSignal) =>
  answer(bookingPath(id), {}, signal).then(
    () => true,
    (cause: unknown) => {
      if (isFinal(cause)) return false;
      throw cause;
    },
  );

export async function readLetter(backend: Backend, id: string, signal: AbortSignal): Promise<Inspected> {
  const [{ body }, booking] = await Promise.all([answer<InspectedLetter>(pathOf(backend, id), {}, signal), isBooking(id, signal)]);
  return {
    ...toLetter(body),
    isBooking: booking,
    legs: Object.entries(body.legs ?? {}).map(([name, state]): [string, string] => [name, text(state)]),
    receipt: record(body.receipt),
    options: record(body.options),
    timeline: toTimeline(body.timeline),
  };
}

export async function redrive(backend: Backend, id: string, how: Redrive): Promise<string> {
  return text((await send<RedrivenLetter>("POST", `${pathOf(backend, id)}/redrive`, how)).state);
}

export async function discard(backend: Backend, id: string): Promise<void> {
  await answer(pathOf(backend, id), { method: "DELETE" });
}

export type Which = { items: Named[] } | { matching: Filters };

const AT_ONCE = 200;

/** Many at once, the named ones or all that match, so many a request; `to`: where they are redriven. `tell` hears how far it is. */
export async function many(
  verb: "redrive" | "discard",
  which: Which,
  to: Backend | "",
  tell: (done: number) => void,
): Promise<Outcome> {
  let total: Outcome = { done: 0, refused: [] };
  let cursor: string | undefined;
  for (;;) {
    const where = to && verb === "redrive" ? { to } : {};
    const asked = { ...which, ...where, ...(cursor ? { cursor } : {}), limit: AT_ONCE };
    const body = await send<Partial<RedrivenLetters & DiscardedLetters>>("POST", `${LETTERS}/${verb}`, asked);
    const items = list(body.items);
    const refused = items.filter((it) => it?.outcome === "refused").map((it) => text(it?.error) || "refused");
    const done = number(body.redriven ?? body.discarded);
    total = { done: total.done + done, refused: [...total.refused, ...refused] };
    tell(total.done);
    cursor = text(body.nextCursor);
    if (!cursor) return total;
  }
}
