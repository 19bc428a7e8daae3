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
