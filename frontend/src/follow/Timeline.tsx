import { BACKEND_NAMES, SHORT_NAMES } from "../api.ts";
import { duration, words } from "../ui/format.ts";
import type { FeedEvent } from "./events.ts";
import { stepTitle } from "./lanes.ts";

const BAD = new Set(["dead", "rejected", "failed", "retrying"]);
const GOOD = new Set(["confirmed", "completed"]);

function toneOf(kind: string): string {
  if (BAD.has(kind)) return "wrong";
  if (GOOD.has(kind)) return "well";
  return kind === "reused" ? "faint" : "";
}

function started({ attempt, starts, worker }: FeedEvent): string {
  const what = starts > 1 ? "taken over" : attempt > 1 ? `attempt ${attempt}` : "started";
  return worker ? `${what} by ${worker}` : what;
}

function givenBack(refunded: number | null): string {
  if (refunded === null) return "what was taken is given back";
  return refunded > 0 ? "charge and room given back" : "nothing was charged; no room is held any more";
}

function says(event: FeedEvent): string {
  const step = stepTitle(event.step);
  const why = event.error ? `: ${event.error}` : "";
  const again = event.due === null ? "" : `; again in ${duration(event.due - event.at)}`;
  switch (event.kind) {
    case "accepted":
      return "accepted and stored";
    case "queued":
      return "queued";
    case "delayed":
      return event.due === null ? "waits until it is due" : `waits ${duration(event.due - event.at)}, until it is due`;
    case "limited":
      return "waits: a limit is reached";
    case "started":
      return started(event);
    case "step":
      return `${step} done`;
    case "reused":
      return `${step} reused${event.by ? ` from ${SHORT_NAMES[event.by]}` : ""}`;
    case "retrying":
      return `failed${why}${again}`;
    case "dead":
      return `dead letter${why}`;
    case "released":
      return "handed back by a stopping worker";
    case "redriven":
      return "sent again from the dead letters";
    case "moved":
      return event.to ? `sent again on ${BACKEND_NAMES[event.to]}` : "sent again elsewhere";
    case "discarded":
      return "dead letter discarded";
    case "hold_expired":
      return "room hold ran out";
    case "compensated":
      return givenBack(event.refunded);
    default:
      return `${words(event.kind)}${event.step ? ` ${step}` : ""}${why}`;
  }
}

function Entry({ event, start }: { event: FeedEvent; start: number }) {
  const lane = event.backend ? `lane-${event.backend}` : "";
  return (
    <li className={`${lane} ${toneOf(event.kind)}`.trim()}>
      <time dateTime={new Date(event.at).toISOString()} title={new Date(event.at).toLocaleString()}>
        +{duration(event.at - start)}
      </time>
      <span className="who">{event.backend ? SHORT_NAMES[event.backend] : "Booking"}</span>
      <span className="what">{says(event)}</span>
    </li>
  );
}

type Props = { events: FeedEvent[]; cut: boolean; waiting: boolean };

export function Timeline({ events, cut, waiting }: Props) {
  const start = events[0]?.at ?? 0;
  return (
    <section className="card timeline" aria-labelledby="timeline">
      <h2 id="timeline">
        Timeline <span className="aside">{events.length > 0 && `${events.length} events`}</span>
      </h2>
      {cut && <p className="note">Some events are missing here: they are no longer kept, or came too fast.</p>}
      {events.length === 0 && <p className="note">{waiting ? "Loading…" : "No events yet."}</p>}
      <ol>
        {events.map((event, index) => (
          <Entry key={event.id || `${event.at} ${index}`} event={event} start={start} />
        ))}
      </ol>
    </section>
  );
}
