import { isStale } from "../ui/stale.ts";
import { ago } from "../ui/format.ts";
import { useNow } from "../ui/useNow.ts";
import { LOOK_AT_ALL } from "../session/may.ts";
import { useLacking, useSession } from "../session/useSession.ts";
import { type Trouble, troubles } from "./alarms.ts";
import type { Board } from "./board.ts";
import { BOARD_MS, useBoard } from "./useBoard.ts";
import "./live.css";

function noAlarm(board: Board): string {
  const count = board.workers.length;
  return `No alarm: three backends answer, ${count} worker${count === 1 ? "" : "s"}`;
}

/** The first is named above. */
function More({ found }: { found: Trouble[] }) {
  return (
    <ul>
      {found.map((each, place) => (
        <li key={each.title + each.detail}>
          {place > 0 && <strong>{each.title}</strong>} {each.detail && <span>{each.detail}</span>}
        </li>
      ))}
    </ul>
  );
}

/** Always there, so that nothing moves when something goes wrong: one line, the worst first, the rest on request. */
export function StatusStrip() {
  const { grant } = useSession();
  if (!useLacking(LOOK_AT_ALL)) return <HowThingsAre />;
  return (
    <div className="strip-status" role="status">
      <p className="fresh">
        {grant?.tenant ? `You see what the tenant ${grant.tenant} has` : "You see what your key may"}; how the whole suite does
        is shown to operators
      </p>
    </div>
  );
}

function HowThingsAre() {
  const board = useBoard();
  const now = useNow(1000);
  const late = board.at !== null && isStale(board.at, now, BOARD_MS);
  const found = troubles(board, late);
  const first = found[0];
  if (!first) {
    return (
      <div className="strip-status" role="status">
        <p className={board.data ? "fresh live" : "fresh"}>{board.data ? noAlarm(board.data) : "Asking how things are…"}</p>
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
