import { type Backend, BACKENDS, answer, list, record, text } from "../api.ts";

/** One job that runs now. */
export type Running = { id: string; backend: Backend; step: string; worker: string };

const MOST = 100;

export function toRunning(items: unknown): Running[] {
  return list(items).flatMap((item) => {
    const it = record(item);
    return BACKENDS.flatMap((backend) => {
      const leg = record(record(it["status"])[backend]);
      if (leg["state"] !== "active") return [];
      return [{ id: text(it["bookingId"]), backend, step: text(leg["step"]), worker: text(leg["worker"]) }];
    });
  });
}

export async function readRunning(signal: AbortSignal): Promise<Running[]> {
  const { body } = await answer(`/api/bookings?state=active&limit=${MOST}`, {}, signal);
  return toRunning(body["items"]);
}
