import { type Backend, type Booking, confirmationUrl } from "../api.ts";
import { readPaused } from "../brokers/limits.ts";
import { beginAfresh } from "../create/useDraft.ts";
import { CREATE } from "../route.ts";
import { Allowed } from "../session/Allowed.tsx";
import { BOOK, LOOK_AT_ALL } from "../session/may.ts";
import { useLacking } from "../session/useSession.ts";
import { Link } from "../ui/Link.tsx";
import { Pill } from "../ui/Pill.tsx";
import { ago } from "../ui/format.ts";
import { useNow } from "../ui/useNow.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Booked } from "./Booked.tsx";
import { type Gone, gone } from "./events.ts";
import { type Following, isFinal } from "./follow.ts";
import { isSettled, outcome } from "./lanes.ts";
import { Race } from "./Race.tsx";
import { TimeChart } from "./TimeChart.tsx";
import { Raw, Tools } from "./Tools.tsx";
import { Timeline } from "./Timeline.tsx";
import { useFollow } from "./useFollow.ts";
import "./follow.css";

const PAUSED_MS = 2000;
const NONE: ReadonlySet<Backend> = new Set();
const nobody = (id: string): Booking => ({ id, state: "", legs: {}, confirmationNumber: "", charge: "none", skew: 0 });

function Line({ line, at, error }: Following) {
  const now = useNow(1000);
  if (line === "live" && !error) return <p className="fresh live">Live</p>;
  if (line === "connecting" && !error) return <p className="fresh">Connecting…</p>;
  const age = at === null ? "Nothing received yet" : `Stale: from ${ago(at, now)}`;
  const next = isFinal(error) ? "" : "; trying again";
  const why = error ? error.message + next : "the event stream broke; connecting again";
  return (
    <p className="fresh stale">
      {age}: {why}
    </p>
  );
}

function Head({ id, following, letters }: { id: string; following: Following; letters: Gone }) {
  const { booking } = following;
  return (
    <header className="card booking">
      <div className="booking-main">
        <h1>
          Booking <code className="id">{id}</code>
        </h1>
        <p role="status" className="outcome">
          {booking ? <Pill state={booking.state} /> : <span className="pill quiet">loading</span>}
          <span className={booking?.confirmationNumber ? "said number" : "said"}>{booking && outcome(booking)}</span>
        </p>
      </div>
      <div className="actions">
        <Tools booking={booking ?? nobody(id)} gone={letters} />
        {booking?.state === "confirmed" && (
          <a className="button primary" href={confirmationUrl(id)} target="_blank" rel="noreferrer">
            Open the PDF
          </a>
        )}
        <Allowed need={BOOK}>
          <Link to={CREATE} className="button" before={beginAfresh}>
            Book another
          </Link>
        </Allowed>
      </div>
      <Booked id={id} />
      <Line {...following} />
    </header>
  );
}

function NotHere({ id, error }: { id: string; error: Error }) {
  return (
    <section className="page">
      <h1>No booking to follow</h1>
      <p className="notice bad" role="alert">
        <code>{id}</code>: {error.message}.
      </p>
      <p>
        A booking can be followed for two days after it ended. <Link to={CREATE}>Make a new one</Link>
      </p>
    </section>
  );
}

const noneTold = async () => NONE;

/** Those that start nothing; asked for only while somebody waits for them. */
function usePaused(booking: Booking | null): ReadonlySet<Backend> {
  const lacking = useLacking(LOOK_AT_ALL);
  const waits = Object.values(booking?.legs ?? {}).some((leg) => leg.state === "queued");
  return usePoll(waits && !lacking ? readPaused : noneTold, PAUSED_MS).data ?? NONE;
}

export function FollowBooking({ id }: { id: string }) {
  const following = useFollow(id);
  const { booking, events, error } = following;
  const paused = usePaused(booking);
  const letters = gone(events);
  if (error && isFinal(error) && !booking) return <NotHere id={id} error={error} />;
  return (
    <div className="page">
      <Head id={id} following={following} letters={letters} />
      <div className={following.line === "broken" || error ? "follow old" : "follow"}>
        <div className="follow-main">
          <Race booking={booking ?? nobody(id)} paused={paused} gone={letters} />
          <TimeChart booking={booking ?? nobody(id)} events={events} open={booking !== null && !isSettled(booking)} />
          <Raw id={id} />
        </div>
        <Timeline events={events} cut={following.cut} waiting={following.line === "connecting" || !booking} />
      </div>
    </div>
  );
}
