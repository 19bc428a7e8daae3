import { useId, useState } from "react";
import { BACKEND_NAMES, type Backend } from "../api.ts";
import { AllThatMatch } from "../jobs/AllThatMatch.tsx";
import { summed } from "../jobs/rows.ts";
import { Said } from "../jobs/Said.tsx";
import { useEverything } from "../jobs/useEverything.ts";
import type { Selection } from "../jobs/useSelection.ts";
import { useComplaint, useWork } from "../jobs/useWork.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { BackendSelect } from "./BackendSelect.tsx";
import { type Letter, type Outcome, type Which, many } from "./api.ts";
import { allOf, filtersOf } from "./filters.ts";

type Verb = "redrive" | "discard";
type Props = { letters: Letter[]; selection: Selection; query: URLSearchParams; more: boolean; done: () => void };

export const keyOf = ({ backend, id }: Pick<Letter, "backend" | "id">) => `${backend} ${id}`;

const PAST = { redrive: "redriven", discard: "discarded" } as const;
const letters = (count: number) => `${count} letter${count === 1 ? "" : "s"}`;

function says(verb: Verb, { done, refused }: Outcome): string {
  const more = refused.length > 0 ? ` ${refused.length} refused: ${summed(refused)}.` : "";
  return `${letters(done)} ${PAST[verb]}.${more}`;
}

/** Of many requests one may fail after others went well. */
async function act(verb: Verb, which: Which, to: Backend | "", tell: (far: string) => void): Promise<string> {
  let so = 0;
  const count = (done: number) => {
    so = done;
    tell(`${done} so far`);
  };
  try {
    return says(verb, await many(verb, which, to, count));
  } catch (cause) {
    if (so === 0 || !(cause instanceof Error)) throw cause;
    throw new Error(`${letters(so)} ${PAST[verb]}, then: ${cause.message}`, { cause });
  }
}

function question(verb: Verb, amount: string, to: Backend | ""): string {
  if (verb === "discard") return `Discard ${amount}?`;
  return `Redrive ${amount}${to ? ` to ${BACKEND_NAMES[to]}` : ""}?`;
}

/** What is chosen, or everything that the filters match, redriven or put away. */
export function BulkLetters({ letters: shown, selection, query, more, done }: Props) {
  const [to, setTo] = useState<Backend | "">("");
  const [asking, setAsking] = useState<Verb | null>(null);
  const { everything: all, toggle } = useEverything(query.toString(), selection.all);
  const field = useId();
  const work = useWork();
  const chosen = shown.filter((letter) => selection.has(keyOf(letter)));
  const [failed, setFailed] = useComplaint(chosen.map(keyOf).join());
  const matching = filtersOf(query);
  const amount = all ? allOf(matching) : letters(chosen.length);
  const able = chosen.length > 0 && !work.working;
  const picked = `${all ? "All" : chosen.length} selected`;

  const go = async (verb: Verb) => {
    setAsking(null);
    const which: Which = all ? { matching } : { items: chosen.map(({ backend, id }) => ({ backend, id })) };
    const well = await work.run((tell) => act(verb, which, to, tell));
    if (well) selection.clear();
    setFailed(!well);
    done();
  };

  return (
    <div className="bulk">
      <label htmlFor={field}>Redrive to</label>
      <BackendSelect id={field} value={to} change={setTo} />
      <button type="button" aria-disabled={!able} onClick={() => able && setAsking("redrive")}>
        Redrive<span className="hidden"> selected</span>
      </button>
      <button type="button" aria-disabled={!able} onClick={() => able && setAsking("discard")}>
        Discard<span className="hidden"> selected</span>
      </button>
      {selection.all && more && <AllThatMatch on={all} toggle={toggle} />}
      <Said work={work}>{chosen.length > 0 && !work.working && !failed ? picked : work.said}</Said>
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
