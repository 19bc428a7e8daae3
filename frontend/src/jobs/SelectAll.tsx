import type { Selection } from "./useSelection.ts";

/** Of a table's head: all rows that are shown. */
export function SelectAll({ selection }: { selection: Selection }) {
  return (
    <th scope="col" className="tick">
      <label>
        <input type="checkbox" checked={selection.all} onChange={(event) => selection.chooseAll(event.target.checked)} />
        <span className="hidden">Select all shown</span>
      </label>
    </th>
  );
}
