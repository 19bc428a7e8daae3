export function duration(ms: number): string {
  const rounded = Math.max(0, Math.round(ms));
  if (rounded < 1000) return `${rounded} ms`;
  const seconds = rounded / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How long something has been so, in the one unit that tells. */
export function age(seconds: number): string {
  if (seconds > 0 && seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function ago(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  if (seconds < 1) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

const grouped = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
export const count = (value: number) => (Math.abs(value) < 10_000_000 ? grouped : short).format(value);

/** Where there is little room: 950, 12.3K. */
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const brief = (value: number) => (Math.abs(value) < 10_000 ? grouped : compact).format(Math.round(value * 10) / 10);
export const rate = (value: number) => `${value < 10 && value > 0 ? value.toFixed(1) : count(Math.round(value))}/s`;
export const shortDuration = (ms: number) => (ms < 1000 ? `${Math.round(ms)} ms` : `${brief(ms / 1000)} s`);

export function bytes(value: number): string {
  const mebi = value / 1_048_576;
  return mebi < 1024 ? `${mebi.toFixed(mebi < 10 ? 1 : 0)} MiB` : `${(mebi / 1024).toFixed(1)} GiB`;
}

/** "dlqPartitions" → "dlq partitions", "hold_expired" → "hold expired". */
export const words = (name: string) =>
  name
    .replaceAll(/([a-z\d])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase();
