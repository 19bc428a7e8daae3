import { isStale } from "../ui/stale.ts";
import { ago } from "../ui/format.ts";
import { useNow } from "../ui/useNow.ts";
import { type Trouble, troubles } from "./alarms.ts";
import type { Board } from "./board.ts";
import { BOARD_MS, useBoard } from "./useBoard.ts";
import "./live.css";

function allWell(board: Board): string {
  const count = board.workers.length;
  return `All well: three backends answer, ${count} worker${count === 1 ? "" : "s"}`;
}

function More({ found }: { found: Trouble[] }) {
  return (
    <ul>
      {found.map((each) => (
        <li key={each.title + each.detail}>
          <strong>{each.title}</strong> {each.detail && <span>{each.detail}</span>}
        </li>
      ))}
    </ul>
  );
}

/** Always there, so that nothing moves when something goes wrong: one line, the worst first, the rest on request. */
export function StatusStrip() {
  const board = useBoard();
  const now = useNow(1000);
  const late = board.at !== null && isStale(board.at, now, BOARD_MS);
  const found = troubles(board, late);
  const first = found[0];
  if (!first) {
    return (
      <div className="strip-status" role="status">
        <p className={board.data ? "fresh live" : "fresh"}>{board.data ? allWell(board.data) : "Asking how things are…"}</p>
      </div>
    );
  }
  const since = board.at === null ? "" : late || board.error ? `, from ${ago(board.at, now)}` : "";
  return (
    <div className={`strip-status ${first.bad ? "bad" : "warn"}`} role="status">
      <details>
        <summary>
          <span className="first">
            <span aria-hidden="true">{first.bad ? "✕" : "!"}</span> {first.title}
            {/* Not for the ear: it changes each second. */}
            <span aria-hidden="true">{since}</span>
          </span>
          <span className="rest">{found.length > 1 ? `and ${found.length - 1} more` : "details"}</span>
        </summary>
        <More found={found} />
      </details>
    </div>
  );
}
