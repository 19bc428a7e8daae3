import { type FormEvent, useState } from "react";
import { ApiError, type NewBooking, createBooking } from "../api.ts";
import { followPath, navigate } from "../route.ts";
import { type Errors, serverErrors, toBooking } from "./booking.ts";
import { Faults, Queueing, Stay } from "./Sections.tsx";
import { useDraft } from "./useDraft.ts";
import "./create.css";

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
  if (cause.status === 0) return `${cause.message}. Whether the booking was stored is not known.`;
  return cause.message;
}

function Request({ booking }: { booking: NewBooking | null }) {
  return (
    <aside className="card request" aria-labelledby="request">
      <h2 id="request">The request</h2>
      <p className="note">
        {booking ? "What the button sends, and curl could:" : "The form has something to mend first."}
      </p>
      <pre className={booking ? undefined : "old"}>
        <code>{`POST /api/bookings\n\n${booking ? JSON.stringify(booking, null, 2) : "…"}`}</code>
      </pre>
    </aside>
  );
}

export function CreateBooking() {
  const form = useDraft();
  const [sending, setSending] = useState(false);
  const [failure, setFailure] = useState<string[]>([]);
  const valid = Object.keys(form.found).length === 0;

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
    if (!valid) return focusFirst(target, form.found);
    if (sending) return;
    setSending(true);
    try {
      navigate(followPath(await createBooking(toBooking(form.draft))));
    } catch (cause) {
      refuse(target, cause);
      setSending(false);
    }
  };

  return (
    <div className="page">
      <h1>New booking</h1>
      <div className="create">
        <form className="card" noValidate onSubmit={submit} aria-label="New booking">
          <Stay form={form} />
          <Queueing form={form} />
          <Faults form={form} />
          <div className="send">
            <button type="submit" className="button primary" aria-disabled={sending}>
              {sending ? "Booking…" : "Book"}
            </button>
            <div role="alert">
              {failure.map((line) => (
                <p key={line} className="wrong">
                  {line}
                </p>
              ))}
            </div>
          </div>
        </form>
        <Request booking={valid ? toBooking(form.draft) : null} />
      </div>
    </div>
  );
}
