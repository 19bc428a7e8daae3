import { useSyncExternalStore } from "react";
import { BACKENDS, type Backend } from "./api.ts";

export type Route =
  | { page: "overview" }
  | { page: "jobs" }
  | { page: "create" }
  | { page: "follow"; id: string }
  | { page: "letters" }
  | { page: "letter"; backend: Backend; id: string }
  | { page: "workers" }
  | { page: "backends" }
  | { page: "unknown"; path: string };

export const OVERVIEW = "/";
export const JOBS = "/bookings";
export const CREATE = "/bookings/new";
export const LETTERS = "/dead-letters";
export const WORKERS = "/workers";
export const BROKERS = "/backends";
export const followPath = (id: string) => `/bookings/${encodeURIComponent(id)}`;
export const letterPath = (backend: Backend, id: string) => `${LETTERS}/${backend}/${encodeURIComponent(id)}`;

const FIXED: Record<string, Route> = {
  [OVERVIEW]: { page: "overview" },
  [JOBS]: { page: "jobs" },
  [CREATE]: { page: "create" },
  [LETTERS]: { page: "letters" },
  [WORKERS]: { page: "workers" },
  [BROKERS]: { page: "backends" },
};

function withId(plain: string): Route | null {
  const booking = /^\/bookings\/([^/]+)$/.exec(plain)?.[1];
  if (booking) return { page: "follow", id: decodeURIComponent(booking) };
  const [, name, id] = /^\/dead-letters\/([^/]+)\/([^/]+)$/.exec(plain) ?? [];
  const backend = BACKENDS.find((each) => each === name);
  return backend && id ? { page: "letter", backend, id: decodeURIComponent(id) } : null;
}

export function parseRoute(path: string): Route {
  const plain = path.replace(/\/+$/, "") || "/";
  try {
    return FIXED[plain] ?? withId(plain) ?? { page: "unknown", path };
  } catch {
    return { page: "unknown", path };
  }
}

function subscribe(changed: () => void): () => void {
  window.addEventListener("popstate", changed);
  return () => window.removeEventListener("popstate", changed);
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => window.location.pathname);
}

/** What stands behind the `?`: filters and places, so that a reload or a sent link shows the same. */
export function useQuery(): URLSearchParams {
  return new URLSearchParams(useSyncExternalStore(subscribe, () => window.location.search));
}

/** `state`: what goes with this visit, not with the address. */
export function navigate(to: string, { state = null, replace = false }: { state?: unknown; replace?: boolean } = {}): void {
  const { pathname, search } = window.location;
  if (to === pathname + search) return;
  if (replace) window.history.replaceState(state, "", to);
  else window.history.pushState(state, "", to);
  window.dispatchEvent(new PopStateEvent("popstate"));
  if (!replace) window.scrollTo(0, 0);
}

/** The address with these parts of its query changed; empty ones are left out. */
export function withQuery(path: string, query: URLSearchParams, changes: Record<string, string> = {}): string {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) next.set(name, value);
  for (const name of new Set(next.keys())) if (next.get(name) === "") next.delete(name);
  return next.size > 0 ? `${path}?${next}` : path;
}
