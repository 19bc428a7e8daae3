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

/** A state, told by its word and its mark; the colour only repeats it. */
export function Pill({ state }: { state: string }) {
  const tone = TONES[state] ?? "quiet";
  return (
    <span className={`pill ${tone}`}>
      <span aria-hidden="true">{MARKS[tone]}</span>
      {state}
    </span>
  );
}
