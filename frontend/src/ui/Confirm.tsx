import { type ReactNode, useEffect, useId, useRef } from "react";

type Props = { title: string; children: ReactNode; verb: string; onYes: () => void; onNo: () => void };

/** Asks before what cannot be taken back. The focus returns to where it was; Escape is heard as it is pressed: a browser
 * tells that it closed the dialog only after it gave the focus back, and what was pressed in between would be lost. */
export function Confirm({ title, children, verb, onYes, onNo }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} className="card dialog" aria-labelledby={heading} onCancel={onNo} onClose={onNo}>
      <h2 id={heading}>{title}</h2>
      <div>{children}</div>
      <div className="buttons end">
        <button type="button" onClick={onNo}>
          No, keep
        </button>
        <button type="button" className="danger" onClick={onYes}>
          {verb}
        </button>
      </div>
    </dialog>
  );
}
