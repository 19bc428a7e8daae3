import { useState } from "react";
import { Confirm } from "../ui/Confirm.tsx";
import { type Row, canBeCancelled, cancel } from "./api.ts";
import { type Told, each, summed } from "./rows.ts";
import type { Selection } from "./useSelection.ts";

type Props = { rows: Row[]; selection: Selection; done: () => void };

const bookings = (count: number) => `${count} booking${count === 1 ? "" : "s"}`;

function says(told: Told, of: number, over: boolean): string {
  const refused = told.failed.length > 0 ? ` ${told.failed.length} refused (${summed(told.failed)}).` : "";
  return over ? `${bookings(told.done)} cancelled.${refused}` : `${told.done + told.failed.length} of ${of} …`;
}

/** Says how many are chosen, and cancels them after one question. */
export function BulkCancel({ rows, selection, done }: Props) {
  const [asking, setAsking] = useState(false);
  const [said, setSaid] = useState("");
  const chosen = rows.filter((row) => selection.has(row.id));
  const able = chosen.filter(canBeCancelled);
  const go = async () => {
    setAsking(false);
    const ids = able.map((row) => row.id);
    setSaid(says({ done: 0, failed: [] }, ids.length, false));
    const told = await each(ids, cancel, (so) => setSaid(says(so, ids.length, false)));
    setSaid(says(told, ids.length, true));
    selection.clear();
    done();
  };
  return (
    <div className="bulk">
      <button type="button" disabled={able.length === 0} onClick={() => setAsking(true)}>
        Cancel selected
      </button>
      <p className="note" role="status">
        {said || (chosen.length > 0 ? `${chosen.length} selected, ${able.length} can be cancelled` : "")}
      </p>
      {asking && (
        <Confirm title={`Cancel ${bookings(able.length)}?`} verb="Cancel them" onYes={go} onNo={() => setAsking(false)}>
          <p>Nobody works at them from then on; whatever was charged is given back.</p>
        </Confirm>
      )}
    </div>
  );
}
