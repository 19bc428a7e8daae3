import { useId, useState } from "react";
import { BACKEND_NAMES, type Backend } from "../api.ts";
import { summed } from "../jobs/rows.ts";
import type { Selection } from "../jobs/useSelection.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { BackendSelect } from "./BackendSelect.tsx";
import { type Letter, type Outcome, type Which, many } from "./api.ts";

type Verb = "redrive" | "discard";
type Props = { letters: Letter[]; selection: Selection; query: URLSearchParams; more: boolean; done: () => void };

export const keyOf = ({ backend, id }: Pick<Letter, "backend" | "id">) => `${backend} ${id}`;

const PAST = { redrive: "redriven", discard: "discarded" } as const;
const letters = (count: number) => `${count} letter${count === 1 ? "" : "s"}`;

function says(verb: Verb, { done, refused }: Outcome): string {
  const more = refused.length > 0 ? ` ${refused.length} refused: ${summed(refused)}.` : "";
  return `${letters(done)} ${PAST[verb]}.${more}`;
}

function matching(query: URLSearchParams): Which {
  const named = ["backend", "q"].flatMap((name) => (query.get(name) ? [[name, query.get(name) ?? ""]] : []));
  return { matching: Object.fromEntries(named) };
}

function question(verb: Verb, amount: string, to: Backend | ""): string {
  if (verb === "discard") return `Discard ${amount}?`;
  return `Redrive ${amount}${to ? ` to ${BACKEND_NAMES[to]}` : ""}?`;
}

/** What is chosen, or everything that the filters match, redriven or put away. */
export function BulkLetters({ letters: shown, selection, query, more, done }: Props) {
  const [to, setTo] = useState<Backend | "">("");
  const [asking, setAsking] = useState<Verb | null>(null);
  const [everything, setEverything] = useState(false);
  const [said, setSaid] = useState("");
  const field = useId();
  const chosen = shown.filter((letter) => selection.has(keyOf(letter)));
  const all = everything && selection.all;
  const amount = all ? "all letters that match" : letters(chosen.length);

  const go = async (verb: Verb) => {
    setAsking(null);
    setSaid("Working …");
    const named: Which = { items: chosen.map(({ backend, id }) => ({ backend, id })) };
    try {
      setSaid(says(verb, await many(verb, all ? matching(query) : named, to, (count) => setSaid(`${count} so far …`))));
      selection.clear();
    } catch (cause) {
      setSaid(cause instanceof Error ? cause.message : String(cause));
    }
    done();
  };

  return (
    <div className="bulk">
      <label htmlFor={field}>Redrive to</label>
      <BackendSelect id={field} value={to} change={setTo} />
      <button type="button" disabled={chosen.length === 0} onClick={() => setAsking("redrive")}>
        Redrive<span className="hidden"> selected</span>
      </button>
      <button type="button" disabled={chosen.length === 0} onClick={() => setAsking("discard")}>
        Discard<span className="hidden"> selected</span>
      </button>
      {selection.all && more && (
        <button type="button" className="plain" aria-pressed={everything} onClick={() => setEverything(!everything)}>
          {everything ? "All that match are selected" : "Select all that match"}
        </button>
      )}
      <p className="note" role="status">
        {chosen.length > 0 ? `${all ? "All" : chosen.length} selected` : said}
      </p>
      {asking && (
        <Confirm
          title={question(asking, amount, asking === "redrive" ? to : "")}
          verb={asking === "redrive" ? "Redrive" : "Discard"}
          onYes={() => void go(asking)}
          onNo={() => setAsking(null)}
        >
          <p>
            {asking === "redrive"
              ? "They run again with all their attempts, and without the faults that were simulated."
              : "They leave the inbox for good. Their records stay as long as others do."}
          </p>
        </Confirm>
      )}
    </div>
  );
}
