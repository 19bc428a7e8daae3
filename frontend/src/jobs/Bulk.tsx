import { useState } from "react";
import { many } from "../letters/api.ts";
import { Allowed } from "../session/Allowed.tsx";
import { BOOK, SEND_AGAIN } from "../session/may.ts";
import { Confirm } from "../ui/Confirm.tsx";
import { type Row, canBeCancelled, cancel, deadLegs } from "./api.ts";
import { type Told, each, summed } from "./rows.ts";
import { Said } from "./Said.tsx";
import type { Selection } from "./useSelection.ts";
import { useComplaint, useWork } from "./useWork.ts";

type Verb = "retry" | "cancel";

const EFFECTS = {
  cancel: "Nobody works at them from then on; whatever was charged is given back.",
  retry: "What died of them runs again with all its attempts, and without the faults that were simulated.",
};

type Props = { rows: Row[]; selection: Selection; done: () => void };

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
const refusals = (failed: readonly string[]) => (failed.length > 0 ? ` ${failed.length} refused (${summed(failed)}).` : "");

async function cancelAll(rows: readonly Row[], tell: (far: string) => void): Promise<string> {
  const so = ({ done, failed }: Told) => tell(`${done + failed.length} of ${rows.length}`);
  const told = await each(
    rows.map((row) => row.id),
    cancel,
    so,
  );
  return `${counted(told.done, "booking")} cancelled.${refusals(told.failed)}`;
}

async function retryAll(rows: readonly Row[], tell: (far: string) => void): Promise<string> {
  const items = rows.flatMap(deadLegs);
  const told = await many("redrive", { items }, "", (done) => tell(`${done} of ${items.length}`));
  return `${counted(told.done, "lane")} sent again.${refusals(told.refused)}`;
}

function chances(rows: readonly Row[], dead: readonly Row[], able: readonly Row[]): string {
  const some = [dead.length > 0 && `${dead.length} can be retried`, `${able.length} can be cancelled`].filter(Boolean);
  return `${rows.length} selected, ${some.join(", ")}`;
}

/** Says how many are chosen; retries what died of them, or cancels them, after one question. */
export function Bulk({ rows, selection, done }: Props) {
  const [asking, setAsking] = useState<Verb | null>(null);
  const work = useWork();
  const chosen = rows.filter((row) => selection.has(row.id));
  const able = chosen.filter(canBeCancelled);
  const dead = chosen.filter((row) => deadLegs(row).length > 0);
  const [failed, setFailed] = useComplaint(chosen.map((row) => row.id).join());
  const go = async (verb: Verb) => {
    setAsking(null);
    const well = await work.run((tell) => (verb === "cancel" ? cancelAll(able, tell) : retryAll(dead, tell)));
    if (well) selection.clear();
    setFailed(!well);
    done();
  };
  const [canRetry, canCancel] = [dead, able].map((some) => some.length > 0 && !work.working);
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
      <Said work={work}>{chosen.length > 0 && !work.working && !failed ? chances(chosen, dead, able) : work.said}</Said>
      {asking && (
        <Confirm
          title={asking === "cancel" ? `Cancel ${counted(able.length, "booking")}?` : `Retry ${counted(dead.length, "booking")}?`}
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
