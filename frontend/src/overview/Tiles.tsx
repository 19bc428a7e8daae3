import { BACKENDS, type Backend } from "../api.ts";
import type { Board, Common } from "../live/board.ts";
import { JOBS, LETTERS, WORKERS } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { age, brief, rate } from "../ui/format.ts";

type Figure = { [K in keyof Common]: Common[K] extends number | null ? K : never }[keyof Common];

/** Over the lanes that are known; null where none is. */
function sum(board: Board | null, name: Figure): number | null {
  const found = BACKENDS.map((backend: Backend) => board?.lanes[backend].common[name] ?? null);
  const told = found.filter((value) => value !== null);
  return told.length > 0 ? told.reduce((all, value) => all + value, 0) : null;
}

const or = (value: number | null | undefined, write: (value: number) => string) =>
  value === null || value === undefined ? "–" : write(value);

/** The whole suite in six figures. */
export function Tiles({ board }: { board: Board | null }) {
  const sla = board?.sla;
  const share = sla?.types.find((each) => each.type === "booking")?.share;
  const lately = sla?.seconds && sla.overSeconds ? `${age(sla.seconds)}, last ${age(sla.overSeconds)}` : "time";
  return (
    <dl className={`tiles ${board?.ledgerStale ? "stale" : ""}`}>
      <div className="card">
        <dt>done</dt>
        <dd>{or(sum(board, "perSecond"), rate)}</dd>
      </div>
      <div className="card">
        <dt>
          <Link to={`${JOBS}?state=queued`}>waiting</Link>
        </dt>
        <dd>{or(sum(board, "waiting"), brief)}</dd>
      </div>
      <div className={`card ${board?.workersStale ? "stale" : ""}`}>
        <dt>
          <Link to={WORKERS}>running</Link>
        </dt>
        <dd>{or(sum(board, "active"), brief)}</dd>
      </div>
      <div className="card">
        <dt>
          <Link to={LETTERS}>died</Link>
        </dt>
        <dd>{or(sum(board, "dead"), brief)}</dd>
      </div>
      <div className={`card ${board?.workersStale ? "stale" : ""}`}>
        <dt>
          <Link to={WORKERS}>workers</Link>
        </dt>
        <dd>
          {or(board?.count, String)}
          {board?.wanted ? (
            <span className={board.wanted > (board.count ?? 0) ? "wanted more" : "wanted"}>{board.wanted} needed</span>
          ) : null}
        </dd>
      </div>
      <div className="card">
        <dt>booking jobs done in {lately}</dt>
        <dd>{or(share, (value) => `${(100 * value).toFixed(value < 1 ? 1 : 0)} %`)}</dd>
      </div>
    </dl>
  );
}
