import { type Told, answer, list, reason, text } from "../api.ts";
import { staleness } from "../live/board.ts";
import type { ServicesAnswer } from "../openapi/monitoring.ts";

export type Service = { name: string; url: string; healthy: boolean; note: string };

/** `stale`: why this is not of now; "" where it is. */
export type Health = { services: Service[]; stale: string };

export function toHealth(body: Told<ServicesAnswer>): Health {
  const services = list(body.services).map((it) => {
    const healthy = it?.status === "healthy";
    return { name: text(it?.name), url: text(it?.url), healthy, note: healthy ? "" : reason(it?.error) };
  });
  return { services, stale: staleness(body) };
}

export const readHealth = async (signal: AbortSignal): Promise<Health> =>
  toHealth((await answer<ServicesAnswer>("/monitoring/services/health", {}, signal)).body);

export function summary({ services, stale }: Health): string {
  const well = services.filter((each) => each.healthy).length;
  if (stale || services.length === 0) return "";
  return well === services.length ? `all ${well} healthy` : `${well} of ${services.length} healthy`;
}
