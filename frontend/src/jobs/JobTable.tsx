import type { Ref } from "react";
import { BACKENDS, BACKEND_NAMES } from "../api.ts";
import { useNow } from "../ui/useNow.ts";
import { JobRow } from "./JobRow.tsx";
import type { Row } from "./api.ts";
import { SelectAll } from "./SelectAll.tsx";
import type { Selection } from "./useSelection.ts";

type Props = { rows: Row[]; selection: Selection; list: Ref<HTMLDivElement>; hold: (on: boolean) => void };

export function JobTable({ rows, selection, list, hold }: Props) {
  const now = useNow(1000);
  return (
    <div
      ref={list}
      className="list-table"
      onFocus={() => hold(true)}
      onBlur={(event) => hold(event.currentTarget.contains(event.relatedTarget))}
    >
      <ul className="lanes-key" aria-hidden="true">
        {BACKENDS.map((backend) => (
          <li key={backend} className={`lane-${backend}`}>
            {BACKEND_NAMES[backend]}
          </li>
        ))}
      </ul>
      <table className="rows jobs">
        <caption className="hidden">Bookings, newest first</caption>
        <thead>
          <tr>
            <SelectAll selection={selection} />
            <th scope="col">Booking</th>
            <th scope="col">State</th>
            <th scope="col">Lanes</th>
            <th scope="col" className="aux">
              Priority
            </th>
            <th scope="col" className="aux when">
              Accepted
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <JobRow key={row.id} row={row} chosen={selection.has(row.id)} choose={selection.choose} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
