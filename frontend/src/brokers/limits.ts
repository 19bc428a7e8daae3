import { BACKENDS, type Backend, answer, record, send } from "../api.ts";

const LIMITS = "/api/limits";

export function toPaused(body: unknown): Set<Backend> {
  const limits = record(record(body)["limits"]);
  return new Set(BACKENDS.filter((backend) => record(limits[backend])["paused"] === true));
}

export async function readPaused(signal: AbortSignal): Promise<Set<Backend>> {
  return toPaused((await answer(LIMITS, {}, signal)).body);
}

export async function pause(backend: Backend, paused: boolean): Promise<Set<Backend>> {
  return toPaused(await send("PUT", LIMITS, { [backend]: { paused } }));
}
