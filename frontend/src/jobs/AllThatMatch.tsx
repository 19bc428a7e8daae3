/** Beside what is done to many: that it is done to what is not shown, too. */
export function AllThatMatch({ on, toggle }: { on: boolean; toggle: () => void }) {
  return (
    <button type="button" className="plain" aria-pressed={on} onClick={toggle}>
      {on ? "All that match are selected" : "Select all that match"}
    </button>
  );
}
