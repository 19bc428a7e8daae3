import { type FormEvent, useState, useSyncExternalStore } from "react";
import { ApiError, createBooking, inDoubt } from "../api.ts";
import type { NewBooking } from "../openapi/api.ts";
import { followPath, navigate } from "../route.ts";
import { BREAK } from "../session/may.ts";
import { useLacking, useSession } from "../session/useSession.ts";
import { Copy, curl } from "../ui/Copy.tsx";
import { Burst } from "./Burst.tsx";
import { type Draft, type Errors, serverErrors, toBooking } from "./booking.ts";
import { bookings } from "./burst.ts";
import { accepted, keyFor } from "./key.ts";
import { Amount, Faults, Queueing, Stay } from "./Sections.tsx";
import { sendAll, snapshot, subscribe } from "./sending.ts";
import { useDraft } from "./useDraft.ts";
import "./create.css";

const BOOKINGS = "/api/bookings";
const KEY = "Idempotency-Key: …";

function focusFirst(form: HTMLFormElement, errors: Errors): void {
  for (const control of form.querySelectorAll<HTMLInputElement>("input, select")) {
    if (control.name in errors) {
      control.focus();
      return;
    }
  }
}

function explain(cause: unknown): string {
  if (!(cause instanceof ApiError)) return String(cause);
  if (cause.fields.length > 0) return "Not accepted: the gateway finds something to mend.";
  // A 503 says so itself, or that nothing was changed.
  if (!inDoubt(cause) || cause.status === 503) return cause.message;
  return `${cause.message}. Whether the booking was stored is not known: booked again, unchanged, it is made once.`;
}

const several = (draft: Draft) => Number(draft.amount) > 1;

function toRequest(draft: Draft): string {
  const amount = Number(draft.amount);
  if (amount === 1) return `POST ${BOOKINGS}\n${KEY}\n\n${JSON.stringify(toBooking(draft), null, 2)}`;
  const first: NewBooking[] = bookings(draft, Math.min(2, amount));
  const more = amount > 2 ? `\n\n… ${(amount - 2).toLocaleString("en")} more` : "";
  return `POST ${BOOKINGS}/batch\n${KEY}\n\n${JSON.stringify({ bookings: first }, null, 2)}${more}`;
}

function Request({ draft }: { draft: Draft | null }) {
  const { access } = useSession();
  return (
    <aside className="card request" aria-labelledby="request">
      <div className="request-head">
        <h2 id="request">The request</h2>
        <Copy
          text={draft ? curl(BOOKINGS, access, toBooking(draft)) : ""}
          label="Copy as curl"
          about={draft && several(draft) ? "of one booking" : ""}
          disabled={!draft}
        />
      </div>
      <p className="note">{draft ? "What the button sends, and curl could" : "The form has something to mend first"}</p>
      <pre className={draft ? undefined : "old"}>
        <code>{draft ? toRequest(draft) : "…"}</code>
      </pre>
    </aside>
  );
}

function useSend(form: ReturnType<typeof useDraft>) {
  const burst = useSyncExternalStore(subscribe, snapshot);
  const [posting, setPosting] = useState(false);
  const [failure, setFailure] = useState<string[]>([]);
  const sending = posting || burst?.sending === true;

  const refuse = (target: HTMLFormElement, cause: unknown) => {
    const { errors, rest } = serverErrors(cause instanceof ApiError ? cause.fields : []);
    form.refuse(errors);
    setFailure([explain(cause), ...rest]);
    requestAnimationFrame(() => focusFirst(target, errors));
  };
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = event.currentTarget;
    form.leaveAll();
    setFailure([]);
    if (Object.keys(form.found).length > 0) return focusFirst(target, form.found);
    if (sending) return;
    const key = keyFor(JSON.stringify(form.draft));
    if (several(form.draft)) return void sendAll(bookings(form.draft, Number(form.draft.amount)), key);
    setPosting(true);
    try {
      const id = await createBooking(toBooking(form.draft), key);
      accepted();
      navigate(followPath(id));
    } catch (cause) {
      refuse(target, cause);
      setPosting(false);
    }
  };
  return { sending, failure, burst, submit };
}

export function CreateBooking() {
  const form = useDraft();
  const { sending, failure, burst, submit } = useSend(form);
  const mayBreak = useLacking(BREAK) === "";
  const valid = Object.keys(form.found).length === 0;
  const verb = several(form.draft) ? `Book ${Number(form.draft.amount).toLocaleString("en")}` : "Book";
  return (
    <div className="page">
      <h1>New booking</h1>
      <div className="create">
        <form className="card" noValidate onSubmit={submit} aria-label="New booking">
          <Stay form={form} />
          <Queueing form={form} />
          <Amount form={form} />
          {mayBreak && <Faults form={form} />}
          <div className="send">
            <button type="submit" className="button primary" aria-disabled={sending}>
              {sending ? "Booking…" : verb}
            </button>
            <div role="alert">
              {failure.map((line) => (
                <p key={line} className="wrong">
                  {line}
                </p>
              ))}
            </div>
          </div>
          {burst && <Burst burst={burst} />}
        </form>
        <Request draft={valid ? form.draft : null} />
      </div>
    </div>
  );
}
