export type Tone = "quiet" | "busy" | "good" | "warn" | "bad";

const TONES: Record<string, Tone> = {
  processing: "busy",
  active: "busy",
  completed: "good",
  confirmed: "good",
  healthy: "good",
  retrying: "warn",
  cancelling: "warn",
  delayed: "quiet",
  dead: "bad",
  failed: "bad",
  rejected: "bad",
  unhealthy: "bad",
};

const MARKS: Record<Tone, string> = { quiet: "○", busy: "◐", good: "✓", warn: "!", bad: "✕" };

export const toneOf = (state: string): Tone => TONES[state] ?? "quiet";
export const markOf = (state: string): string => MARKS[toneOf(state)];

/** A state, told by its word and its mark; the colour only repeats it. */
export function Pill({ state }: { state: string }) {
  const tone = toneOf(state);
  return (
    <span className={`pill ${tone}`}>
      <span aria-hidden="true">{MARKS[tone]}</span>
      {state}
    </span>
  );
}
