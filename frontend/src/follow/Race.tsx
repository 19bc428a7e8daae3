import { BACKENDS, BACKEND_NAMES, type Backend, type Booking, type Leg, STEPS } from "../api.ts";
import { Pill } from "../ui/Pill.tsx";
import { duration, words } from "../ui/format.ts";
import type { Gone } from "./events.ts";
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
  return `${waited}took ${duration(leg.finished - leg.started)}`;
}

const SAID_ELSEWHERE = new Set(["queue", "stream", "topic", "timestamp"]);

/** The broker's own place for it, but for what the page says already. */
function place(leg: Leg, id: string): string {
  const own = leg.receipt.filter(([key, value]) => value !== id && !SAID_ELSEWHERE.has(key));
  return own.map(([key, value]) => `${words(key)} ${value}`).join(", ");
}

function facts(leg: Leg, id: string): string[] {
  const attempts = leg.attempts > 1 ? `${leg.attempts} attempts` : "";
  return [took(leg), attempts, leg.worker && `by ${leg.worker}`, place(leg, id)].filter(Boolean);
}

type LaneProps = {
  id: string;
  backend: Backend;
  leg: Leg | undefined;
  rank: number | undefined;
  paused: boolean;
  gone: string;
};

function Lane({ id, backend, leg, rank, paused, gone }: LaneProps) {
  const wrong = (leg?.state === "dead" && !gone) || leg?.state === "retrying";
  return (
    <li className={`lane lane-${backend}`}>
      <h3>{BACKEND_NAMES[backend]}</h3>
      <div className="lane-state">{leg && <Pill state={leg.state} />}</div>
      <Track backend={backend} leg={leg} />
      <p className="place">{rank ? ordinal(rank) : ""}</p>
      <p className={wrong ? "doing wrong" : "doing"}>{leg ? doing(leg, paused, gone) : ""}</p>
      <ul className="facts" aria-label={`${BACKEND_NAMES[backend]}: facts`}>
        {(leg ? facts(leg, id) : []).map((fact) => (
          <li key={fact}>{fact}</li>
        ))}
      </ul>
    </li>
  );
}

export function Race({ booking, paused, gone }: { booking: Booking; paused: ReadonlySet<Backend>; gone: Gone }) {
  const known = lanesOf(booking);
  const ranks = places(booking);
  return (
    <section className="card race" aria-labelledby="race">
      <h2 id="race">The race</h2>
      <div className="course" aria-hidden="true">
        {STEPS.map((step) => (
          <span key={step.name} className={step.name}>
            {step.title}
          </span>
        ))}
      </div>
      <ol className="lanes">
        {(known.length > 0 ? known : BACKENDS).map((backend) => (
          <Lane
            key={backend}
            id={booking.id}
            backend={backend}
            leg={booking.legs[backend]}
            rank={ranks[backend]}
            paused={paused.has(backend)}
            gone={gone[backend] ?? ""}
          />
        ))}
      </ol>
    </section>
  );
}
