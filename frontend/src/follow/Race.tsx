import { BACKENDS, BACKEND_NAMES, type Backend, type Booking, type Leg, STEPS } from "../api.ts";
import { Pill } from "../ui/Pill.tsx";
import { duration } from "../ui/format.ts";
import { doing, lanesOf, ordinal, places } from "./lanes.ts";

/** The way from 0 to 100, with a mark where each step ends. */
function Track({ backend, leg }: { backend: Backend; leg: Leg | undefined }) {
  const progress = leg?.progress ?? 0;
  return (
    <div className={`track ${leg?.state ?? ""}`}>
      <progress className="hidden" max={100} value={progress} aria-label={`${BACKEND_NAMES[backend]}, percent done`} />
      <svg aria-hidden="true" focusable="false">
        <rect className="ground" width="100%" height="100%" />
        <rect className="done" width={`${progress}%`} height="100%" />
        {STEPS.map((step) => (
          <rect key={step.name} className="mark" x={`${step.until}%`} width="2" height="100%" />
        ))}
      </svg>
    </div>
  );
}

function took(leg: Leg): string {
  if (leg.started === null || leg.finished === null) return "";
  const waited = leg.enqueued === null ? "" : `waited ${duration(leg.started - leg.enqueued)}, `;
  return `${waited}ran ${duration(leg.finished - leg.started)}`;
}

function facts(leg: Leg): string[] {
  const attempts = leg.attempts > 1 ? `${leg.attempts} attempts` : "";
  const receipt = leg.receipt.map(([key, value]) => `${key} ${value}`).join(", ");
  return [took(leg), attempts, leg.worker && `worker ${leg.worker}`, receipt].filter(Boolean);
}

function Lane({ backend, leg, place }: { backend: Backend; leg: Leg | undefined; place: number | undefined }) {
  const wrong = leg?.state === "dead" || leg?.state === "retrying";
  return (
    <li className={`lane lane-${backend}`}>
      <div className="lane-head">
        <h3>{BACKEND_NAMES[backend]}</h3>
        <span className="place">{place ? ordinal(place) : ""}</span>
        <span className={wrong ? "doing wrong" : "doing"}>{leg ? doing(leg) : ""}</span>
        {leg && <Pill state={leg.state} />}
      </div>
      <Track backend={backend} leg={leg} />
      <ul className="facts" aria-label={`${BACKEND_NAMES[backend]}: facts`}>
        {(leg ? facts(leg) : []).map((fact) => (
          <li key={fact}>{fact}</li>
        ))}
      </ul>
    </li>
  );
}

export function Race({ booking }: { booking: Booking }) {
  const known = lanesOf(booking);
  const place = places(booking);
  return (
    <section className="card race" aria-labelledby="race">
      <h2 id="race">The race</h2>
      <div className="course" aria-hidden="true">
        {STEPS.map((step) => (
          <span key={step.name} className={step.name}>
            {step.title}
          </span>
        ))}
        <span className="finish">Finish</span>
      </div>
      <ol className="lanes">
        {(known.length > 0 ? known : BACKENDS).map((backend) => (
          <Lane key={backend} backend={backend} leg={booking.legs[backend]} place={place[backend]} />
        ))}
      </ol>
    </section>
  );
}
