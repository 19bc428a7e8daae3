import { useId } from "react";
import { type Line, diff, parsePayload, pretty } from "./diff.ts";

const MARKS = { same: " ", old: "−", new: "+" } as const;
const SAID = { same: "", old: "removed: ", new: "added: " } as const;

const numbered = (lines: Line[]) => lines.map((line, place) => ({ ...line, place }));

function Diff({ before, after }: { before: string; after: string }) {
  const lines = numbered(diff(before, after));
  return (
    <section className="diff" aria-label="What changes">
      <h3>What changes</h3>
      <pre>
        {lines.map(({ kind, text, place }) => (
          <span key={place} className={kind}>
            <span aria-hidden="true">{MARKS[kind]} </span>
            <span className="hidden">{SAID[kind]}</span>
            {`${text}\n`}
          </span>
        ))}
      </pre>
    </section>
  );
}

/** `kept`: it runs with what it had, whatever of that can be shown here. */
type Props = { before: unknown; text: string; change: (text: string) => void; kept: boolean };

/** The payload as JSON: what is wrong with it, and how it differs from what it was. */
export function Editor({ before, text, change, kept }: Props) {
  const [field, note] = [useId(), useId()];
  const { data, error: wrong } = parsePayload(text);
  const error = kept ? "" : wrong;
  const old = pretty(before);
  const changed = data !== null && pretty(data) !== old;
  return (
    <div className="editor">
      <div className="field">
        <label htmlFor={field}>Payload</label>
        <textarea
          id={field}
          value={text}
          rows={Math.min(24, Math.max(8, text.split("\n").length))}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={error ? true : undefined}
          aria-describedby={note}
          onChange={(event) => change(event.target.value)}
        />
        <p id={note} className={error ? "note wrong" : "note"} role="status">
          {error || (changed ? "Changed: it runs with what stands here" : wrong ? "As it was, but for large numbers, shown rounded" : "As it was")}
        </p>
      </div>
      {changed && <Diff before={old} after={pretty(data)} />}
    </div>
  );
}
