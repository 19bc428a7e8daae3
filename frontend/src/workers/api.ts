import { type Backend, BACKENDS, type Told, answer, list, text } from "../api.ts";
import type { Worker } from "../live/board.ts";
import type { BookingAnswer, BookingPage } from "../openapi/api.ts";

/** One job that runs now. */
export type Running = { id: string; backend: Backend; type: string; step: string; worker: string; seconds: number | null };

const MOST = 100;

/** What a worker runs: by its own word where it gives one, with the step that the ledger knows. */
export function runsOf(worker: Worker, known: readonly Running[]): Running[] {
  const here = known.filter((job) => job.worker === worker.id);
  if (!worker.jobs) return here;
  const steps = new Map(here.map((job) => [`${job.backend} ${job.id}`, job.step]));
  return worker.jobs.map(({ id, backend, type, seconds }) => {
    const step = steps.get(`${backend} ${id}`) ?? (type === "booking" ? "" : type);
    return { id, backend, type, seconds, step, worker: worker.id };
  });
}

/** How many it runs: it names some of them alone, and is asked at another moment than the ledger. */
export function runsInAll(worker: Worker, named: readonly Running[]): number {
  const told = Object.values(worker.running).reduce<number>((sum, used) => sum + (used ?? 0), 0);
  return Math.max(named.length, told);
}

export function toRunning(items: readonly (Told<BookingAnswer> | null)[] | null | undefined): Running[] {
  return list(items).flatMap((it) =>
    BACKENDS.flatMap((backend) => {
      const leg = it?.status?.[backend];
      if (leg?.state !== "active") return [];
      return [{ id: text(it?.bookingId), backend, type: "booking", step: text(leg.step), worker: text(leg.worker), seconds: null }];
    }),
  );
}

/** In its stead, where the key in use does not open the list of bookings. */
export const noneTold = async (): Promise<Running[]> => [];

export async function readRunning(signal: AbortSignal): Promise<Running[]> {
  const { body } = await answer<BookingPage>(`/api/bookings?state=active&limit=${MOST}`, {}, signal);
  return toRunning(body.items);
}
