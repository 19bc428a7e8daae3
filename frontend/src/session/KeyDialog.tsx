import { type FormEvent, useEffect, useId, useRef } from "react";
import { ask, close, forget, open } from "./session.ts";
import { useSession } from "./useSession.ts";
import "./session.css";

/** Takes the key, and keeps it nowhere: what the browser holds from then on is a cookie that scripts cannot read. */
export function KeyDialog() {
  const { asking, sending, error } = useSession();
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const [title, field, wrong] = [useId(), useId(), useId()];

  useEffect(() => {
    if (asking) dialog.current?.showModal();
    else dialog.current?.close();
    if (!asking && input.current) input.current.value = "";
  }, [asking]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const key = input.current?.value.trim();
    if (!key) input.current?.focus();
    else if (!sending) void open(key).then(() => input.current?.select());
  };

  return (
    <dialog ref={dialog} className="card key" aria-labelledby={title} onClose={close}>
      <form onSubmit={submit}>
        <h2 id={title}>API key</h2>
        <p className="note">This suite asks for a key (AUTH=required): <code>make up</code> prints the command that shows it. It is exchanged for a cookie of twelve hours.</p>
        <label htmlFor={field}>Key</label>
        <input
          id={field}
          ref={input}
          type="password"
          autoComplete="current-password"
          spellCheck={false}
          aria-invalid={error !== ""}
          aria-describedby={wrong}
        />
        <p id={wrong} role="alert" className="note wrong">
          {error}
        </p>
        <div className="actions">
          <button type="button" onClick={close}>
            Not now
          </button>
          <button type="submit" className="primary" aria-disabled={sending}>
            {sending ? "Trying…" : "Use this key"}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** In the head of every page, where keys are needed at all. */
export function KeyButton() {
  const { access } = useSession();
  if (access === "held") {
    return (
      <button type="button" onClick={() => void forget()}>
        Forget key
      </button>
    );
  }
  if (access !== "needed") return null;
  return (
    <button type="button" className="primary" onClick={ask}>
      Enter key
    </button>
  );
}
