import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { ApiError, BACKEND_NAMES, type Backend } from "../api.ts";
import { LETTERS, followPath, navigate } from "../route.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { Link } from "../ui/Link.tsx";
import { BackendSelect } from "./BackendSelect.tsx";
import { Editor } from "./Editor.tsx";
import { type Inspected, discard, redrive } from "./api.ts";
import { parsePayload, pretty } from "./diff.ts";

type Done = { to: Backend; state: string };

function complaint(cause: unknown): string {
  if (!(cause instanceof ApiError)) return String(cause);
  return cause.fields.length > 0 ? cause.fields.map((each) => `${each.field}: ${each.message}`).join("; ") : cause.message;
}

/** In place of the form, whose button had the focus. */
function Sent({ letter, done }: { letter: Inspected; done: Done }) {
  const here = useRef<HTMLDivElement>(null);
  useEffect(() => here.current?.focus(), []);
  return (
    <div ref={here} className="notice" role="status" tabIndex={-1}>
      Sent to {BACKEND_NAMES[done.to]}: it is {done.state} there.{" "}
      {letter.isBooking && <Link to={followPath(letter.id)}>Watch it</Link>}{" "}
      <Link to={LETTERS}>Back to the inbox</Link>
    </div>
  );
}

function useRedrive(letter: Inspected) {
  const [text, setText] = useState(() => pretty(letter.data));
  const [type, setType] = useState(letter.type);
  const [to, setTo] = useState<Backend | "">("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState<Done | null>(null);
  const before = pretty(letter.data);
  const payload = parsePayload(text);
  const changed = payload.data !== null && pretty(payload.data) !== before;
  /** Nothing of it is sent along: it runs with what it had, also where this page cannot show that to the digit. */
  const kept = letter.readable && (payload.data ? !changed : text === before);
  const ready = kept || payload.data !== null;

  const attempt = async (act: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setError("");
    try {
      await act();
    } catch (cause) {
      setError(complaint(cause));
    }
    setBusy(false);
  };
  const send = () => {
    if (!ready) return undefined;
    const edited = kept ? {} : { data: payload.data, ...(letter.readable ? {} : { type }) };
    return attempt(async () => {
      const state = await redrive(letter.backend, letter.id, { ...(to ? { to } : {}), ...edited });
      setDone({ to: to || letter.backend, state });
    });
  };
  const drop = () => attempt(async () => discard(letter.backend, letter.id).then(() => navigate(LETTERS)));
  return { text, setText, type, setType, to, setTo, error, busy, done, kept, ready, send, drop };
}

/** Edit it, send it again, here or elsewhere, or put it away. */
export function Actions({ letter }: { letter: Inspected }) {
  const form = useRedrive(letter);
  const [asking, setAsking] = useState(false);
  const [where, kind] = [useId(), useId()];
  if (form.done) return <Sent letter={letter} done={form.done} />;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void form.send();
  };
  const drop = () => {
    setAsking(false);
    void form.drop();
  };
  return (
    <form className="card redrive" onSubmit={submit} aria-label="Redrive">
      <h2>Send it again</h2>
      {!letter.readable && (
        <div className="field">
          <label htmlFor={kind}>Type</label>
          <input id={kind} value={form.type} onChange={(event) => form.setType(event.target.value)} />
          <p className="note">It is no job as it stands: say which, and with what data</p>
        </div>
      )}
      <Editor before={letter.data} text={form.text} change={form.setText} kept={form.kept} />
      <div className="buttons">
        <label htmlFor={where}>To</label>
        <BackendSelect id={where} value={form.to} change={form.setTo} own={letter.backend} />
        <button type="submit" className="primary" aria-disabled={!form.ready || form.busy}>
          Redrive
        </button>
        <button type="button" className="danger" onClick={() => setAsking(true)}>
          Discard
        </button>
      </div>
      <p className="wrong" role="alert">
        {form.error}
      </p>
      {asking && (
        <Confirm title="Discard this letter?" verb="Discard" onYes={drop} onNo={() => setAsking(false)}>
          <p>It leaves the inbox for good. Its record stays as long as others do.</p>
        </Confirm>
      )}
    </form>
  );
}
