import { useCallback } from "react";
import { ApiError, BACKEND_NAMES, type Backend, text, toBackend } from "../api.ts";
import { isFinal } from "../follow/follow.ts";
import { Timeline } from "../follow/Timeline.tsx";
import { useOnce } from "../follow/useOnce.ts";
import { LETTERS, followPath } from "../route.ts";
import { Allowed } from "../session/Allowed.tsx";
import { SEND_AGAIN } from "../session/may.ts";
import { Link } from "../ui/Link.tsx";
import { Pill } from "../ui/Pill.tsx";
import { Unreached } from "../ui/Unreached.tsx";
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

/** Only of one that is not there can it be said that it may have gone. */
function NoLetter({ id, error }: { id: string; error: Error }) {
  if (!isFinal(error)) return <Unreached error={error} />;
  const gone = error instanceof ApiError && error.status === 404;
  return (
    <p className="notice bad" role="alert">
      {error.message}. {gone && "It may have been redriven or discarded meanwhile."} <Link to={followPath(id)}>Its booking</Link>
    </p>
  );
}

export function LetterPage({ backend, id }: { backend: Backend; id: string }) {
  const read = useCallback((signal: AbortSignal) => readLetter(backend, id, signal), [backend, id]);
  const { data: letter, error } = useOnce(read);
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
        {error && <NoLetter id={id} error={error} />}
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
