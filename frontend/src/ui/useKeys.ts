import { useEffect } from "react";

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

const ticking = (target: EventTarget | null) => target instanceof HTMLInputElement && target.type === "checkbox";

/** Single keys for the whole page, while `on`, but never while somebody types or a dialog is open. `false`: not now. */
export function useKeys(keys: Record<string, () => unknown>, on: boolean): void {
  useEffect(() => {
    if (!on) return undefined;
    const press = (event: KeyboardEvent) => {
      const act = keys[event.key];
      if (!act || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if ((typing(event.target) && !ticking(event.target)) || document.querySelector("dialog[open]")) return;
      if (act() !== false) event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  });
}
