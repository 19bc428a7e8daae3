import { BACKEND_NAMES, toBackend } from "../api.ts";

export type Filters = { type?: string; backend?: string; q?: string };

/** What the address asks for: the list shows it, and "all that match" is no more. */
export function filtersOf(query: URLSearchParams): Filters {
  const of = (name: keyof Filters) => (query.get(name) ? { [name]: query.get(name) } : {});
  return { ...of("type"), ...of("backend"), ...of("q") };
}

/** All of them, in words. */
export function allOf({ type, backend, q }: Filters): string {
  const died = toBackend(backend);
  const parts = [type && `of type ${type}`, died && `that died on ${BACKEND_NAMES[died]}`, q && `with “${q}”`];
  return ["all letters", ...parts.filter(Boolean)].join(" ");
}
