import { type Told, answer, bookingPath, number, text } from "../api.ts";
import type { BookingAnswer } from "../openapi/api.ts";
import { duration, words } from "../ui/format.ts";

/** What was asked for: it stays as it is, whatever becomes of it. */
export type Booked = [name: string, value: string][];

function broken(it: Told<BookingAnswer>["simulate"]): string {
  const [step, times, slow] = [text(it?.["failAt"]), number(it?.["times"]), number(it?.["slowMs"])];
  const where = step ? ` at ${step}` : "";
  const how = it?.["crash"] === true ? "kills its worker" : "fails";
  const fails = step ? `${how}${where}${times > 0 ? `, ${times} ${times === 1 ? "time" : "times"}` : ""}` : "";
  return [fails, slow > 0 ? `${duration(slow)} slower` : ""].filter(Boolean).join("; ");
}

/** `null`: not known yet; the same names then, so that nothing moves when it is. */
export function toBooked(it: Told<BookingAnswer> | null): Booked {
  const made = Date.parse(text(it?.createdAt));
  const always: Booked = [
    ["User", text(it?.userId)],
    ["Hotel", text(it?.hotelId)],
    ["Stay", [text(it?.checkIn), text(it?.checkOut)].filter(Boolean).join(" to ")],
    ["Guests", text(it?.guests)],
    ["Room", words(text(it?.roomType))],
    ["Priority", text(it?.priority)],
    ["Accepted", Number.isNaN(made) ? "" : new Date(made).toLocaleString()],
  ];
  const delay = number(it?.delaySeconds);
  const some: Booked = [
    ["Delayed by", delay > 0 ? duration(delay * 1000) : ""],
    ["Simulated", broken(it?.simulate)],
  ];
  return [
    ...always.map(([name, value]): [string, string] => [name, value || (it ? "–" : "…")]),
    ...some.filter(([, value]) => value),
  ];
}

export async function readBooked(id: string, signal: AbortSignal): Promise<Booked> {
  return toBooked((await answer<BookingAnswer>(bookingPath(id), {}, signal)).body);
}
