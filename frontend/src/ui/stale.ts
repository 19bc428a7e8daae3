/** Two answers missed and a moment's grace. */
export function isStale(at: number, now: number, everyMs: number): boolean {
  return now - at > 2 * everyMs + 1500;
}
