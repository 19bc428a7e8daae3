import { JOBS, navigate, withQuery } from "../route.ts";

type Trail = { trail: string[] };

/** The cursors of the pages before this one; not in the address, yet kept over a reload. */
const trail = (): string[] => {
  const state: unknown = window.history.state;
  const found = typeof state === "object" && state !== null ? Reflect.get(state, "trail") : null;
  return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
};

type Props = { path?: string; query: URLSearchParams; next: string | null; more: string };

/** Pages by cursor: as fast at the hundred-thousandth as at the first. */
export function Pager({ path = JOBS, query, next, more }: Props) {
  const here = query.get("cursor") ?? "";
  const before = trail();
  const go = (cursor: string, state: Trail) => navigate(withQuery(path, query, { cursor }), { state });
  const newest = () => here && go("", { trail: [] });
  const back = () => here && go(before.at(-1) ?? "", { trail: before.slice(0, -1) });
  const on = () => next !== null && go(next, { trail: [...before, here] });
  return (
    <nav className={here || next ? "pager" : "pager away"} aria-label="Pages of the list">
      <button type="button" aria-disabled={!here} onClick={newest}>
        Newest
      </button>
      <button type="button" aria-disabled={!here} onClick={back}>
        Newer
      </button>
      <button type="button" aria-disabled={next === null} onClick={on}>
        {more}
      </button>
    </nav>
  );
}
