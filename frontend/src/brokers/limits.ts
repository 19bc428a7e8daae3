import { BACKENDS, type Backend, type Told, answer, send } from "../api.ts";
import type { LimitsAnswer } from "../openapi/api.ts";

const LIMITS = "/api/limits";

export const toPaused = ({ limits }: Told<LimitsAnswer>): Set<Backend> =>
  new Set(BACKENDS.filter((backend) => limits?.[backend]?.paused === true));

export async function readPaused(signal: AbortSignal): Promise<ReadonlySet<Backend>> {
  return toPaused((await answer<LimitsAnswer>(LIMITS, {}, signal)).body);
}

export async function pause(backend: Backend, paused: boolean): Promise<Set<Backend>> {
  return toPaused(await send<LimitsAnswer>("PUT", LIMITS, { [backend]: { paused } }));
}
