import { BACKENDS } from "../api.ts";
import { readPaused } from "../brokers/limits.ts";
import { untouched } from "../live/board.ts";
import { EVENTS } from "../live/feed.ts";
import { BOARD_MS, useBoard } from "../live/useBoard.ts";
import { CREATE } from "../route.ts";
import { Services } from "../services/Services.tsx";
import { Allowed } from "../session/Allowed.tsx";
import { BOOK } from "../session/may.ts";
import { useLacking } from "../session/useSession.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { Link } from "../ui/Link.tsx";
import { usePoll } from "../ui/usePoll.ts";
import { Charts } from "./Charts.tsx";
import { LaneCard } from "./LaneCard.tsx";
import { Tiles } from "./Tiles.tsx";
import "./overview.css";

const LIMITS_MS = 5000;

export function Overview() {
  const { data, error, at } = useBoard();
  const paused = usePoll(readPaused, LIMITS_MS).data;
  const lacking = useLacking(EVENTS);
  const dots = lacking ? `No dot shows a job on its way: ${lacking.toLowerCase()}; a` : "Each dot is one job, in the moment it moves; a";
  const [over, latency] = [data?.overSeconds ?? 10, data?.latencySeconds ?? 60];
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>Overview</h1>
          <p className="lead">One booking workflow on three queue backends, side by side.</p>
        </div>
        <Allowed need={BOOK}>
          <Link to={CREATE} className="button primary">
            New booking
          </Link>
        </Allowed>
      </div>
      <Tiles board={data} />
      <section aria-labelledby="lanes">
        <div className="section-head">
          <h2 id="lanes">The three lanes</h2>
          <Freshness at={at} error={error} everyMs={BOARD_MS} />
        </div>
        <div className={`lane-cards ${error && data ? "old" : ""}`}>
          {BACKENDS.map((backend) => (
            <LaneCard key={backend} backend={backend} board={data} paused={paused?.has(backend) ?? false} />
          ))}
        </div>
        <p className="note legend-note">
          {data && untouched(data) && !lacking ? (
            <>
              Nothing has run yet: <Link to={CREATE}>send a booking, or 200</Link>, and watch each on its way as a dot.
            </>
          ) : (
            `${dots} way is as thick as many take it. Rates of the last ${over} s, ` +
            `wait and run of the last ${latency} s; done and died since the ledger began.`
          )}
        </p>
      </section>
      <Charts />
      <Services />
    </div>
  );
}
