import { useCallback, useState } from "react";
import { BACKENDS, BACKEND_NAMES, type Booking, answer, bookingPath } from "../api.ts";
import { cancel } from "../jobs/api.ts";
import { letterPath } from "../route.ts";
import { Allowed } from "../session/Allowed.tsx";
import { BOOK, SEE_LETTERS } from "../session/may.ts";
import { useSession } from "../session/useSession.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { Copy, curl } from "../ui/Copy.tsx";
import { Link } from "../ui/Link.tsx";
import { usePoll } from "../ui/usePoll.ts";
import type { Gone } from "./events.ts";

const RAW_MS = 2000;

function RawJson({ id }: { id: string }) {
  const read = useCallback(async (signal: AbortSignal) => (await answer(bookingPath(id), {}, signal)).body, [id]);
  const { data, error } = usePoll(read, RAW_MS);
  const text = data ? JSON.stringify(data, null, 2) : "";
  return (
    <>
      {error && <p className="wrong">{error.message}</p>}
      <div className="raw-head">
        <p className="note">GET {bookingPath(id)}</p>
        <Copy text={text} label="Copy JSON" />
      </div>
      <pre tabIndex={0} role="region" aria-label="The booking as JSON">
        <code>{text || "Loading…"}</code>
      </pre>
    </>
  );
}

/** The booking as the gateway tells it; asked for only while it is looked at. */
export function Raw({ id }: { id: string }) {
  const [open, setOpen] = useState(false);
  return (
    <section className="card raw">
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Raw JSON</summary>
        {open && <RawJson id={id} />}
      </details>
    </section>
  );
}

const OVER = new Set(["failed", "rejected", "cancelled", "cancelling", ""]);

function CancelButton({ booking }: { booking: Booking }) {
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState("");
  const over = OVER.has(booking.state);
  const go = async () => {
    setAsking(false);
    setError("");
    try {
      await cancel(booking.id);
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    }
  };
  return (
    <>
      <p className="wrong" role="alert">
        {error}
      </p>
      <button type="button" className="danger" aria-disabled={over} onClick={() => !over && setAsking(true)}>
        Cancel
      </button>
      {asking && (
        <Confirm title="Cancel this booking?" verb="Cancel it" onYes={() => void go()} onNo={() => setAsking(false)}>
          <p>Nobody works at it from then on; what was charged is given back, and its rooms are free again.</p>
        </Confirm>
      )}
    </>
  );
}

export function Tools({ booking, gone }: { booking: Booking; gone: Gone }) {
  const { access } = useSession();
  const dead = BACKENDS.filter((backend) => booking.legs[backend]?.state === "dead" && !gone[backend]);
  return (
    <>
      <Copy text={curl(`${bookingPath(booking.id)}/status`, access)} label="Copy as curl" />
      <Allowed need={BOOK}>
        <CancelButton booking={booking} />
      </Allowed>
      {dead.map((backend) => (
        <Allowed key={backend} need={SEE_LETTERS}>
          <Link to={letterPath(backend, booking.id)} className="button">
            Dead letter on {BACKEND_NAMES[backend]}
          </Link>
        </Allowed>
      ))}
    </>
  );
}
