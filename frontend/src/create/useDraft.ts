import { useState } from "react";
import { type Draft, type Errors, type Field, another, emptyDraft, validate } from "./booking.ts";

const KEPT = "booking-queue.draft";

function kept(): Draft {
  const fresh = emptyDraft(new Date());
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (typeof stored !== "object" || stored === null) return fresh;
    const same = (Object.keys(fresh) as Field[]).every((key) => typeof Reflect.get(stored, key) === typeof fresh[key]);
    return same && Array.isArray(Reflect.get(stored, "backends")) ? { ...fresh, ...stored } : fresh;
  } catch {
    return fresh;
  }
}

function keep(draft: Draft): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(draft));
  } catch {
    // A browser that keeps nothing still books.
  }
}

/** The next booking is another one: who books where stays, what was broken on purpose does not. */
export const beginAfresh = () => keep(another(kept(), new Date()));

/** What was sent many times is kept to be sent once: whoever comes back later may have forgotten how many it was. */
export const keepOne = () => keep({ ...kept(), amount: "1" });

/** The draft, and those of its complaints that are due: of fields already left, or of all after a try to send. */
export function useDraft() {
  const [draft, setDraft] = useState(kept);
  const [left, setLeft] = useState<ReadonlySet<Field>>(new Set());
  const [refused, setRefused] = useState<Errors>({});

  const found = validate(draft);
  const due = Object.entries(found).filter(([field]) => left.has(field as Field));
  const errors: Errors = { ...refused, ...Object.fromEntries(due) };

  const change = (part: Partial<Draft>) => {
    const next = { ...draft, ...part };
    keep(next);
    setDraft(next);
    const changed = Object.keys(part) as Field[];
    setRefused((last) => Object.fromEntries(Object.entries(last).filter(([field]) => !changed.includes(field as Field))));
    const visible: Field[] = ["backends", "crash"];
    if (changed.some((field) => visible.includes(field))) setLeft((last) => new Set([...last, "backends", "failAt"]));
  };
  const leave = (field: Field) => setLeft((last) => (last.has(field) ? last : new Set([...last, field])));
  const leaveAll = () => setLeft(new Set(Object.keys(draft) as Field[]));

  return { draft, found, errors, change, leave, leaveAll, refuse: setRefused };
}
