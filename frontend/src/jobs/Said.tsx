import type { Work } from "./useWork.ts";

/** What is chosen, or what is being done and came of it. */
export function Said({ work: { line, far }, children }: { work: Work; children: string }) {
  return (
    <p ref={line} className="note" tabIndex={-1}>
      <span role="status">{children}</span>
      {far && <span aria-hidden="true"> {far}</span>}
    </p>
  );
}
