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

const when = ({ seconds }: Trouble) => (seconds === null ? "" : `, ${ago(0, 1000 * seconds)}`);

/** The first is named above. Each in parts, so that a remedy stays selected while a detail counts seconds. */
function More({ found }: { found: Trouble[] }) {
  return (
    <ul>
      {found.map((each, place) => (
        <li key={each.key}>
          {place > 0 && <strong>{each.title + when(each)}</strong>} <span>{each.detail}</span> <span>{each.remedy}</span>
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
  const well = board.data ? noAlarm(board.data) : "Asking how things are…";
  const since = board.at !== null && (late || board.error) ? `, from ${ago(board.at, now)}` : "";
  return (
    <section className={`strip-status ${first ? (first.bad ? "bad" : "warn") : ""}`} aria-label="How things are">
      {/* All that is for the ear: the rest changes every few seconds, and a live region is read from its beginning. */}
      <p className="hidden" role="status">
        {first?.title ?? well}
      </p>
      {first ? (
        <details>
          <summary>
            <span className="first">
              <span aria-hidden="true">{first.bad ? "✕" : "!"}</span> {first.title}
              {when(first)}
              <span aria-hidden="true">{since}</span>
            </span>
            <span className="rest">{found.length > 1 ? `and ${found.length - 1} more` : "details"}</span>
          </summary>
          <More found={found} />
        </details>
      ) : (
        <p className={board.data ? "fresh live" : "fresh"} aria-hidden="true">
          {well}
        </p>
      )}
    </section>
  );
}
