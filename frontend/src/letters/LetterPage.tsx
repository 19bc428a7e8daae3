import { useEffect, useState } from "react";
import { BACKEND_NAMES, type Backend, text, toBackend } from "../api.ts";
import { Timeline } from "../follow/Timeline.tsx";
import { LETTERS, followPath } from "../route.ts";
import { Allowed } from "../session/Allowed.tsx";
import { SEND_AGAIN } from "../session/may.ts";
import { Link } from "../ui/Link.tsx";
import { Pill } from "../ui/Pill.tsx";
import { words } from "../ui/format.ts";
import { Actions } from "./Actions.tsx";
import { type Inspected, readLetter } from "./api.ts";
import { pretty } from "./diff.ts";
import "../create/create.css";
import "../follow/follow.css";
import "./letters.css";

function Facts({ letter }: { letter: Inspected }) {
  const place = Object.entries(letter.receipt).filter(([key, value]) => key !== "timestamp" && value !== letter.id);
  const receipt = place.map(([key, value]) => `${words(key)} ${text(value)}`);
  const facts: [string, string][] = [
    ["Died", letter.failedAt === null ? "" : new Date(letter.failedAt).toLocaleString()],
    ["At step", letter.step],
    ["Attempts", String(letter.attempts)],
    ["Redriven before", letter.redrives > 0 ? `${letter.redrives} times` : ""],
    ["Worker", letter.worker],
    ["At the broker", receipt.join(", ")],
  ];
  return (
    <dl className="facts-list">
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      <div>
        <dt>Its lanes</dt>
        <dd className="buttons">
          {letter.legs.map(([backend, state]) => (
            <span key={backend}>
              {BACKEND_NAMES[toBackend(backend) ?? letter.backend]} <Pill state={state} />
            </span>
          ))}
        </dd>
      </div>
    </dl>
  );
}

/** For who may look, but not send it again. */
function Payload({ letter }: { letter: Inspected }) {
  return (
    <section className="card payload" aria-labelledby="payload">
      <h2 id="payload">Payload</h2>
      <pre>
        <code>{pretty(letter.data)}</code>
      </pre>
      <p className="note">To send it again, or to discard it, a key with the scope ops:write is needed.</p>
    </section>
  );
}

function useLetter(backend: Backend, id: string) {
  const [letter, setLetter] = useState<Inspected | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    readLetter(backend, id, stop.signal).then(setLetter, (cause: unknown) => {
      if (!stop.signal.aborted) setError(cause instanceof Error ? cause.message : String(cause));
    });
    return () => stop.abort();
  }, [backend, id]);
  return { letter, error };
}

export function LetterPage({ backend, id }: { backend: Backend; id: string }) {
  const { letter, error } = useLetter(backend, id);
  return (
    <div className="page">
      <header className="card letter-head">
        <p className="note">
          <Link to={LETTERS}>Dead letters</Link> / {BACKEND_NAMES[backend]}
        </p>
        <h1>
          Dead letter <code className="id">{id}</code>
        </h1>
        {letter && <p className="notice bad">{letter.error}</p>}
        {error && (
          <p className="notice bad" role="alert">
            {error}. It may have been redriven or discarded meanwhile. <Link to={followPath(id)}>Its booking</Link>
          </p>
        )}
        {!letter && !error && <p className="notice">Loading…</p>}
        {letter && <Facts letter={letter} />}
      </header>
      {letter && (
        <div className="follow">
          <Allowed need={SEND_AGAIN} otherwise={<Payload letter={letter} />}>
            <Actions letter={letter} />
          </Allowed>
          <Timeline events={letter.timeline} cut={false} waiting={false} />
        </div>
      )}
    </div>
  );
}
