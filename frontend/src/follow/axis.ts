export type Tick = { at: number; label: string };
export type Axis = { end: number; ticks: Tick[] };

const UNITS = [
  { name: "h", ms: 3_600_000, steps: [24, 12, 6, 3, 2, 1] },
  { name: "min", ms: 60_000, steps: [30, 15, 10, 5, 2, 1] },
  { name: "s", ms: 1000, steps: [30, 15, 10, 5, 2, 1] },
  { name: "ms", ms: 1, steps: [500, 200, 100, 50, 20, 10, 5, 2, 1] },
] as const;

const STEPS = UNITS.flatMap((unit) => unit.steps.map((step) => ({ unit, ms: step * unit.ms }))).toReversed();

/** A scale from 0 that holds `span` ms in at most `most` round steps. Its end is a tick, so that it grows in leaps. */
export function timeAxis(span: number, most: number): Axis {
  const needed = Math.max(span, 1) / Math.max(most, 1);
  const fits = STEPS.find((step) => step.ms >= needed);
  const unit = (fits ?? { unit: UNITS[0] }).unit;
  const step = fits?.ms ?? Math.ceil(needed / 86_400_000) * 86_400_000;
  const count = Math.max(1, Math.ceil(span / step));
  const shown = unit.name === "ms" && count * step >= 1000 ? { name: "s", ms: 1000 } : unit;
  const ticks = Array.from({ length: count + 1 }, (_, i) => ({
    at: i * step,
    label: i === 0 ? "0" : `${(i * step) / shown.ms} ${shown.name}`,
  }));
  return { end: count * step, ticks };
}
