import { useRef } from "react";
import { useShortcuts } from "../ui/Shortcuts.tsx";
import { useKeys } from "../ui/useKeys.ts";
import type { Selection } from "./useSelection.ts";

const KEYS = [
  ["j", "next"],
  ["k", "previous"],
  ["Enter", "opens"],
  ["x", "selects"],
  ["/", "searches"],
] as const;

/** Moves the focus among the rows of a list: to the next, the one before, or into it. */
function moveFocus(list: HTMLElement | null, by: number): void {
  const links = [...(list?.querySelectorAll<HTMLElement>(".row-link") ?? [])];
  const row = document.activeElement?.closest("tr");
  const at = links.findIndex((link) => link.closest("tr") === row && row !== null);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** Arrows scroll the page, unless the focus is in the list. */
const moveInside = (list: HTMLElement | null, by: number): boolean => {
  if (!list?.contains(document.activeElement)) return false;
  moveFocus(list, by);
  return true;
};

/** The place of the row that has the focus; -1 for none. */
function focusedRow(list: HTMLElement | null): number {
  const row = document.activeElement?.closest("tr") ?? null;
  return [...(list?.querySelectorAll("tbody tr") ?? [])].findIndex((each) => each === row);
}

/** A list of these rows that is used without a mouse. */
export function useListKeys(ids: readonly string[], selection: Selection) {
  const [list, search] = [useRef<HTMLDivElement>(null), useRef<HTMLInputElement>(null)];
  const [on, toggle] = useShortcuts();
  const move = (by: number) => () => moveFocus(list.current, by);
  const pick = () => {
    const id = ids[focusedRow(list.current)];
    if (id) selection.toggle(id);
  };
  useKeys({ j: move(1), k: move(-1), x: pick, "/": () => search.current?.focus() }, on);
  const inside = (by: number) => () => moveInside(list.current, by);
  useKeys({ ArrowDown: inside(1), ArrowUp: inside(-1) }, true);
  return { list, search, shortcuts: { keys: KEYS, on, toggle } };
}
