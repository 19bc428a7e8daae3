import { BACKENDS, type Backend, type Booking, type Leg, STEPS } from "../api.ts";

const ENDED = new Set(["completed", "dead", "cancelled"]);
const SETTLED = new Set(["confirmed", "rejected", "failed", "cancelled"]);

export const hasEnded = (leg: Leg) => ENDED.has(leg.state);

export const lanesOf = (booking: Booking): Backend[] => BACKENDS.filter((backend) => booking.legs[backend]);

/** Nothing more is to come by itself: the outcome is known and every lane has ended. */
export const isSettled = (booking: Booking) =>
  SETTLED.has(booking.state) && Object.values(booking.legs).every(hasEnded);

/** Who came in first, second, third: of the completed lanes, by when they finished; equal times share a place. */
export function places(booking: Booking): Partial<Record<Backend, number>> {
  const times = lanesOf(booking).flatMap((backend) => {
    const leg = booking.legs[backend];
    return leg?.state === "completed" && leg.finished !== null ? [{ backend, at: leg.finished }] : [];
  });
  return Object.fromEntries(times.map((one) => [one.backend, 1 + times.filter((other) => other.at < one.at).length]));
}

export const ordinal = (place: number) => ["1st", "2nd", "3rd"][place - 1] ?? `${place}th`;

export const stepTitle = (name: string) => STEPS.find((step) => step.name === name)?.title ?? name;

function running(leg: Leg): string {
  const step = STEPS.find((each) => each.name === leg.step);
  if (!step) return leg.step || "Started";
  return leg.progress >= step.until ? `${step.title} done` : `${step.title} …`;
}

/** What a lane is doing, in a few words. `paused`: its backend is. `gone`: what became of its dead letter. */
export function doing(leg: Leg, paused = false, gone = ""): string {
  switch (leg.state) {
    case "pending":
      return "Stored; sent as soon as the backend can be reached";
    case "queued":
      return paused ? "Waits: its backend is paused" : "Waits for a worker";
    case "delayed":
      if (leg.limitedBy) return `Waits: the limit ${leg.limitedBy} is reached`;
      return leg.due === null ? "Waits until it is due" : `Waits until ${new Date(leg.due).toLocaleString()}`;
    case "active":
      return running(leg);
    case "retrying":
      return `Tries again soon: ${leg.error || "the attempt failed"}`;
    case "completed":
      return leg.step === STEPS.at(-1)?.name ? "All five steps done" : "Ended: the booking is rejected";
    case "dead":
      return `${gone ? "Died" : "Dead letter"}: ${leg.error || "no reason given"}${gone ? `. ${gone}` : ""}`;
    case "cancelling":
      return "Being cancelled";
    case "cancelled":
      return "Cancelled";
    default:
      return leg.state;
  }
}

const CHARGE: Record<Booking["charge"], string> = {
  none: "Nothing was charged.",
  back: "The charge was given back.",
  owed: "What was charged, if anything, is being given back.",
};

/** What the booking's state means to whoever made it. */
export function outcome(booking: Booking): string {
  const why = Object.values(booking.legs).find((leg) => leg.error)?.error;
  switch (booking.state) {
    case "accepted":
      return "Stored for good; it waits for a worker.";
    case "processing":
      return "Its lanes are at work.";
    case "confirmed":
      return booking.confirmationNumber || "All five effects are done.";
    case "rejected":
      return `Nothing was charged${why ? `: ${why}` : ""}.`;
    case "failed":
      return `Every lane ended without a confirmation${why ? `: ${why}` : ""}. ${CHARGE[booking.charge]}`;
    case "cancelling":
      return "Being cancelled; what was charged is refunded.";
    case "cancelled":
      return "Cancelled; nothing remains charged.";
    default:
      return "";
  }
}
