import type { Backend } from "../api.ts";
import type { FeedEvent } from "../follow/events.ts";

/** One of the three ways of a lane: to the queue, to a worker, to its end. */
export type Way = "in" | "start" | "end";
export type Tone = "lane" | "good" | "bad" | "warn";
/** `lift`: how far off the middle it goes, -1 to 1, so that a crowd is seen as one. */
export type Dot = { born: number; tone: Tone; back: boolean; lift: number };

const CROSSING_MS = 1100;
const MOST_DOTS = 28;
const A_FRAME = 4;
const SPREAD_MS = 100;
const LIFTS = [0, 0.5, -0.5, 0.25, -0.25];

const WAYS: Record<string, { way: Way; tone: Tone; back?: boolean }> = {
  queued: { way: "in", tone: "lane" },
  delayed: { way: "in", tone: "warn" },
  started: { way: "start", tone: "lane" },
  retrying: { way: "start", tone: "warn", back: true },
  released: { way: "start", tone: "warn", back: true },
  completed: { way: "end", tone: "good" },
  dead: { way: "end", tone: "bad" },
};

/**
 * The dots that a frame of events sets off on one way. Each job has its dot while that can be seen; of more than that a
 * few stand for all, the rare ones (a death, a retry) first.
 */
export function born(events: readonly FeedEvent[], lane: Backend, way: Way, now: number, alive: number): Dot[] {
  const here = events.flatMap((event) => {
    const of = event.backend === lane ? WAYS[event.kind] : undefined;
    return of?.way === way ? [of] : [];
  });
  const rare = here.filter((of) => of.tone === "bad" || of.tone === "warn");
  const common = here.filter((of) => of.tone !== "bad" && of.tone !== "warn");
  const room = Math.max(0, Math.min(A_FRAME, MOST_DOTS - alive));
  const shown = [...rare, ...common].slice(0, room);
  return shown.map(({ tone, back = false }, place) => ({
    born: now + (place * SPREAD_MS) / shown.length,
    tone,
    back,
    lift: LIFTS[(alive + place) % LIFTS.length] ?? 0,
  }));
}

/** How far along a dot is, 0 to 1; slower towards both ends. Null: it has arrived. */
export function along(dot: Dot, now: number): number | null {
  const part = (now - dot.born) / CROSSING_MS;
  if (part >= 1) return null;
  const eased = part <= 0 ? 0 : part * part * (3 - 2 * part);
  return dot.back ? 1 - eased : eased;
}

/** How thick a way is drawn, in pixels: each tenfold of what goes along it in a second is a step. 0: nothing does. */
export const breadth = (perSecond: number): number =>
  perSecond > 0 ? Math.round(10 * Math.min(12, 3 + 3 * Math.log10(1 + perSecond))) / 10 : 0;

/** How full a tank looks: each tenfold is a step, so that 5 and 50,000 can both be read. */
export const level = (count: number): number => Math.min(100, Math.round(20 * Math.log10(1 + Math.max(0, count))));
