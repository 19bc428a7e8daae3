import { BACKENDS, type Backend, type Told, answer, list } from "../api.ts";
import type { HistoryAnswer } from "../openapi/monitoring.ts";

/** In columns: `times` in seconds, and for each lane as many values; null where nothing was known. */
export type Series = { times: number[]; lanes: Record<Backend, (number | null)[]> };
export type History = { times: number[]; columns: Record<string, (number | null)[]> };

const known = (each: unknown) => each !== null && each !== undefined;
const value = (of: unknown) => (typeof of === "number" && Number.isFinite(of) ? of : null);

export function toHistory(it: Told<HistoryAnswer>): History {
  const times = list(it.times).map((at) => (value(at) ?? 0) / 1000);
  const columns = Object.entries(it.series ?? {}).map(([name, of]): [string, (number | null)[]] => {
    const values = list(of).map(value);
    return [name, times.map((_, place) => values[place] ?? null)];
  });
  return { times, columns: Object.fromEntries(columns) };
}

/** One figure of every lane. */
export function pick({ times, columns }: History, name: string): Series {
  const of = (backend: Backend) => columns[`${backend}.${name}`] ?? times.map(() => null);
  return { times, lanes: { rq: of("rq"), redisStreams: of("redisStreams"), kafka: of("kafka") } };
}

/** Places of values with nothing on either side, which no line shows. */
export const alone = (values: readonly (number | null | undefined)[]): number[] =>
  values.flatMap((each, at) => (known(each) && !known(values[at - 1]) && !known(values[at + 1]) ? [at] : []));

/** What a chart shows, in words. */
export function said(series: Series, names: Record<Backend, string>, write: (value: number) => string): string {
  return BACKENDS.map((backend) => {
    const values = series.lanes[backend].filter((each) => each !== null);
    const last = series.lanes[backend].at(-1);
    if (values.length === 0) return `${names[backend]}: nothing`;
    const now = last === null || last === undefined ? "unknown" : write(last);
    return `${names[backend]}: ${now} now, at most ${write(Math.max(...values))}`;
  }).join("; ");
}

const POINTS = 200;

export const readHistory = (seconds: number) => async (signal: AbortSignal) =>
  toHistory((await answer<HistoryAnswer>(`/monitoring/history?seconds=${seconds}&points=${POINTS}`, {}, signal)).body);
