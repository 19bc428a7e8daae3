import { useState } from "react";

/** Everything that the filters match, not only what is shown; held until another filter, or another choice, is made. */
export function useEverything(search: string, allShown: boolean) {
  const [everything, setEverything] = useState<string | null>(null);
  const held = everything === search && allShown;
  if (everything !== null && !held) setEverything(null);
  return { everything: held, toggle: () => setEverything(held ? null : search) };
}
