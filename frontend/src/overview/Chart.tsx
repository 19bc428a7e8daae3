import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { BACKENDS, BACKEND_NAMES } from "../api.ts";
import { type Series, said } from "./history.ts";

const HEIGHT = 168;
const DASHES = { rq: [], redisStreams: [7, 4], kafka: [2, 3] };

const clock = (at: number) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** A canvas has its own colours: they are read from the page. */
function options(host: HTMLElement, write: (value: number) => string, seconds: number): uPlot.Options {
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
      x: { range: (_, low, high) => [Math.min(low ?? 0, (high ?? 0) - seconds), high ?? seconds] },
      y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.08)] },
    },
    axes: [
      { ...axis, space: 70, size: 28, values: (_, splits) => splits.map(clock) },
      { ...axis, size: 56, values: (_, splits) => splits.map(write) },
    ],
    series: [
      {},
      ...BACKENDS.map((backend) => ({
        stroke: colour(colours[backend]),
        width: 1.75,
        dash: DASHES[backend],
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

const toData = ({ times, lanes }: Series): uPlot.AlignedData => [times, lanes.rq, lanes.redisStreams, lanes.kafka];

/** A canvas that is drawn anew when its width or the colours change, and moved on when data come. */
function useChart(series: Series, write: (value: number) => string, seconds: number) {
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
      plot.current = new uPlot(options(element, write, seconds), toData(newest.current), element);
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
  }, [write, seconds]);

  return host;
}

type Props = { title: string; series: Series; write: (value: number) => string; seconds: number };

export function Chart({ title, series, write, seconds }: Props) {
  const host = useChart(series, write, seconds);
  return (
    <figure className="card chart-card">
      <figcaption>{title}</figcaption>
      <div ref={host} className="plot" role="img" aria-label={`${title}. ${said(series, BACKEND_NAMES, write)}`} />
    </figure>
  );
}
