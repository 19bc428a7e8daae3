import { useState } from "react";
import { Allowed } from "../session/Allowed.tsx";
import { BOOK, SEND_AGAIN } from "../session/may.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { AllThatMatch } from "./AllThatMatch.tsx";
import { type Row, canBeCancelled, deadLegs, matching } from "./api.ts";
import { allOf, cancelAll, counted, retryAll } from "./many.ts";
import { Said } from "./Said.tsx";
import { useEverything } from "./useEverything.ts";
import type { Selection } from "./useSelection.ts";
import { useComplaint, useWork } from "./useWork.ts";

type Verb = "retry" | "cancel";

const EFFECTS = {
  cancel: "Nobody works at them from then on; whatever was charged is given back.",
  retry: "What died of them runs again with all its attempts, and without the faults that were simulated.",
};

type Props = { rows: Row[]; selection: Selection; query: URLSearchParams; more: boolean; done: () => void };

function chances(rows: readonly Row[], dead: readonly Row[], able: readonly Row[]): string {
  const some = [dead.length > 0 && `${dead.length} can be retried`, `${able.length} can be cancelled`].filter(Boolean);
  return `${rows.length} selected, ${some.join(", ")}`;
}

/** Says how many are chosen; retries what died of them, or cancels them, after one question. */
export function Bulk({ rows, selection, query, more, done }: Props) {
  const [asking, setAsking] = useState<Verb | null>(null);
  const [stop, setStop] = useState<AbortController | null>(null);
  const { everything, toggle } = useEverything(query.toString(), selection.all);
  const work = useWork();
  const chosen = rows.filter((row) => selection.has(row.id));
  const able = chosen.filter(canBeCancelled);
  const dead = chosen.filter((row) => deadLegs(row).length > 0);
  const [failed, setFailed] = useComplaint(chosen.map((row) => row.id).join());
  const amount = (some: readonly Row[]) => (everything ? allOf(query) : counted(some.length, "booking"));
  const go = async (verb: Verb) => {
    setAsking(null);
    const some = verb === "cancel" ? able : dead;
    const total = verb === "cancel" ? able.length : dead.flatMap(deadLegs).length;
    const stopping = everything ? new AbortController() : null;
    setStop(stopping);
    const pages = stopping ? matching(query.toString(), stopping.signal) : [some];
    const well = await work.run((tell) =>
      (verb === "cancel" ? cancelAll : retryAll)(pages, (tried) => tell(stopping ? `${tried} so far` : `${tried} of ${total}`)),
    );
    setStop(null);
    if (well) selection.clear();
    setFailed(!well);
    done();
  };
  const [canRetry, canCancel] = [dead, able].map((some) => (everything || some.length > 0) && !work.working);
  const picked = everything ? "All selected" : chances(chosen, dead, able);
  return (
    <div className="bulk">
      <Allowed need={SEND_AGAIN}>
        <button type="button" aria-disabled={!canRetry} onClick={() => canRetry && setAsking("retry")}>
          Retry<span className="hidden"> selected</span>
        </button>
      </Allowed>
      <Allowed need={BOOK}>
        <button type="button" aria-disabled={!canCancel} onClick={() => canCancel && setAsking("cancel")}>
          Cancel<span className="hidden"> selected</span>
        </button>
      </Allowed>
      {selection.all && more && !work.working && <AllThatMatch on={everything} toggle={toggle} />}
      {stop && (
        <button type="button" onClick={() => stop.abort()}>
          Stop
        </button>
      )}
      <Said work={work}>{chosen.length > 0 && !work.working && !failed ? picked : work.said}</Said>
      {asking && (
        <Confirm
          title={asking === "cancel" ? `Cancel ${amount(able)}?` : `Retry ${amount(dead)}?`}
          verb={asking === "cancel" ? "Cancel them" : "Retry them"}
          onYes={() => void go(asking)}
          onNo={() => setAsking(null)}
        >
          <p>{EFFECTS[asking]}</p>
        </Confirm>
      )}
    </div>
  );
}
