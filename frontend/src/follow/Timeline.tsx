import { BACKEND_NAMES } from "../api.ts";
import { duration, words } from "../ui/format.ts";
import type { FeedEvent } from "./events.ts";
import { stepTitle } from "./lanes.ts";

const BAD = new Set(["dead", "rejected", "failed", "retrying"]);
const GOOD = new Set(["confirmed", "completed"]);

function says(event: FeedEvent): string {
  const step = stepTitle(event.step);
  switch (event.kind) {
    case "accepted":
      return "accepted and stored";
    case "queued":
      return "queued";
    case "delayed":
      return event.due === null ? "waits until it is due" : `waits ${duration(event.due - event.at)}, until it is due`;
    case "started":
      return event.attempt > 1 ? `started, attempt ${event.attempt}` : "started";
    case "step":
      return `${step} done`;
    case "reused":
      return `${step} was done already${event.by ? ` by ${BACKEND_NAMES[event.by]}` : ""}: result reused`;
    case "retrying":
      return event.due === null ? "failed, tries again" : `failed, tries again in ${duration(event.due - event.at)}`;
    case "dead":
      return "dead letter";
    case "released":
      return "handed back by a stopping worker";
    case "redriven":
      return "sent again from the dead letters";
    case "hold_expired":
      return "room hold ran out";
    case "compensated":
      return "charge and room given back";
    default:
      return words(event.kind) + (event.step ? `: ${step}` : "");
  }
}

function Entry({ event, start }: { event: FeedEvent; start: number }) {
  const tone = BAD.has(event.kind) ? "wrong" : GOOD.has(event.kind) ? "well" : "";
  const lane = event.backend ? `lane-${event.backend}` : "";
  return (
    <li className={`${lane} ${tone}`.trim()}>
      <time dateTime={new Date(event.at).toISOString()} title={new Date(event.at).toLocaleString()}>
        +{duration(event.at - start)}
      </time>
      <span className="who">{event.backend ? BACKEND_NAMES[event.backend] : "Booking"}</span>
      <span className="what">
        {says(event)}
        {event.worker && event.kind === "started" && <span className="detail">by {event.worker}</span>}
        {event.error && <span className="detail">{event.error}</span>}
      </span>
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
      {cut && <p className="note">Earlier events are no longer kept.</p>}
      {events.length === 0 && <p className="note">{waiting ? "Loading…" : "No events yet."}</p>}
      <ol>
        {events.map((event, index) => (
          <Entry key={event.id || `${event.at} ${index}`} event={event} start={start} />
        ))}
      </ol>
    </section>
  );
}
