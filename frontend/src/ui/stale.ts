let [hidden, shown] = [false, 0];

/** While nobody looks at the page nothing is asked for, so it is late from when somebody looks again. */
export function watchLooks(page: Document): void {
  const look = () => {
    hidden = page.hidden;
    if (!hidden) shown = Date.now();
  };
  page.addEventListener("visibilitychange", look);
  look();
}

/** Two answers missed and a moment's grace. */
export function isStale(at: number, now: number, everyMs: number): boolean {
  return !hidden && now - Math.max(at, shown) > 2 * everyMs + 1500;
}
