import { useState } from "react";

/** Which of the rows shown are chosen; what is no longer shown is no longer chosen. */
export function useSelection(ids: readonly string[]) {
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const chosen = ids.filter((id) => picked.has(id));
  const choose = (id: string, on: boolean) =>
    setPicked((last) => {
      const next = new Set(last);
      if (on) next.add(id);
      else next.delete(id);
      return next;
    });
  const all = chosen.length > 0 && chosen.length === ids.length;
  return {
    chosen,
    all,
    has: (id: string) => picked.has(id),
    choose,
    toggle: (id: string) => choose(id, !picked.has(id)),
    chooseAll: (on: boolean) => setPicked(new Set(on ? ids : [])),
    clear: () => setPicked(new Set()),
  };
}

export type Selection = ReturnType<typeof useSelection>;

/** Moves the focus among the rows of a list: to the next, the one before, or into it. */
export function moveFocus(list: HTMLElement | null, by: number): void {
  const links = [...(list?.querySelectorAll<HTMLElement>(".row-link") ?? [])];
  const row = document.activeElement?.closest("tr");
  const at = links.findIndex((link) => link.closest("tr") === row && row !== null);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** Arrows scroll the page, unless the focus is in the list. */
export const moveInside = (list: HTMLElement | null, by: number): boolean => {
  if (!list?.contains(document.activeElement)) return false;
  moveFocus(list, by);
  return true;
};

/** The place of the row that has the focus; -1 for none. */
export function focusedRow(list: HTMLElement | null): number {
  const row = document.activeElement?.closest("tr") ?? null;
  return [...(list?.querySelectorAll("tbody tr") ?? [])].findIndex((each) => each === row);
}
