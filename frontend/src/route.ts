import { useSyncExternalStore } from "react";

export type Route =
  | { page: "overview" }
  | { page: "create" }
  | { page: "follow"; id: string }
  | { page: "unknown"; path: string };

export const OVERVIEW = "/";
export const CREATE = "/bookings/new";
export const followPath = (id: string) => `/bookings/${encodeURIComponent(id)}`;

export function parseRoute(path: string): Route {
  const plain = path.replace(/\/+$/, "") || "/";
  if (plain === OVERVIEW) return { page: "overview" };
  if (plain === CREATE) return { page: "create" };
  const found = /^\/bookings\/([^/]+)$/.exec(plain);
  if (!found?.[1]) return { page: "unknown", path };
  try {
    return { page: "follow", id: decodeURIComponent(found[1]) };
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

export function navigate(path: string): void {
  if (path === window.location.pathname) return;
  window.history.pushState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate"));
  window.scrollTo(0, 0);
}
