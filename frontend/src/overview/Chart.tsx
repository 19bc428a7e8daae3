import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { BACKENDS, BACKEND_NAMES } from "../api.ts";
import { type Series, alone, said } from "./history.ts";

const HEIGHT = 168;
const DASHES = { rq: [], redisStreams: [7, 4], kafka: [2, 3] };

/** Steps of an axis that are written without rounding: 0.1, 0.2, 0.5, 1, 2, 5, … */
const STEPS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => Number(`${step}e${power - 1}`))).flat();

const clock = (at: number) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** `least`: the top of the axis when there is nothing to see. */
type Look = { write: (value: number) => string; least: number; seconds: number };

/** The stretch of time that is shown: up to now where there is nothing yet. */
function lastOf(seconds: number, low: number | null, high: number | null): [number, number] {
  const end = high ?? Date.now() / 1000;
  return [Math.min(low ?? end, end - seconds), end];
}

const lonely = (plot: uPlot, of: number) => alone(Array.from(plot.data[of] ?? []));

/** A canvas has its own colours: they are read from the page. */
function options(host: HTMLElement, { write, least, seconds }: Look): uPlot.Options {
  const style = getComputedStyle(host);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const colours = { rq: "--rq", redisStreams: "--streams", kafka: "--kafka" };
  return {
    width: Math.max(200, host.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_, low, high) => lastOf(seconds, low, high) },
      y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(least, (high ?? 0) * 1.08)] },
    },
    axes: [
      { ...axis, space: 70, size: 28, values: (_, splits) => splits.map(clock) },
      { ...axis, size: 56, incrs: STEPS, values: (_, splits) => splits.map(write) },
    ],
    series: [
      {},
      ...BACKENDS.map((backend) => ({
        stroke: colour(colours[backend]),
        width: 1.75,
        dash: DASHES[backend],
        points: { show: true, size: 4, fill: colour(colours[backend]), filter: lonely },
        spanGaps: false,
      })),
    ],
  };
}

const toData = ({ times, lanes }: Series): uPlot.AlignedData => [times, lanes.rq, lanes.redisStreams, lanes.kafka];

/** A canvas that is drawn anew when its width or the colours change, and moved on when data come. */
function useChart(series: Series, { write, least, seconds }: Look) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const newest = useRef(series);

  useEffect(() => {
    newest.current = series;
    plot.current?.setData(toData(series));
  }, [series]);

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(element, { write, least, seconds }), toData(newest.current), element);
    };
    make();
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    const sized = new ResizeObserver(() =>
      plot.current?.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT }),
    );
    sized.observe(element);
    return () => {
      sized.disconnect();
      dark.removeEventListener("change", make);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [write, least, seconds]);

  return host;
}

type Props = Look & { title: string; series: Series };

export function Chart({ title, series, ...look }: Props) {
  const host = useChart(series, look);
  return (
    <figure className="card chart-card">
      <figcaption>{title}</figcaption>
      <div ref={host} className="plot" role="img" aria-label={`${title}. ${said(series, BACKEND_NAMES, look.write)}`} />
    </figure>
  );
}
