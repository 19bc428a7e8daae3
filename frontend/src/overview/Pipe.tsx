import { useEffect, useRef } from "react";
import type { Backend } from "../api.ts";
import { EVENTS, onEvents } from "../live/feed.ts";
import { useLacking } from "../session/useSession.ts";
import { type Dot, type Tone, type Way, along, born, breadth } from "./flow.ts";

const RADIUS = 3.5;
const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

function colours(canvas: HTMLCanvasElement): Record<Tone, string> {
  const style = getComputedStyle(canvas);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return { lane: of("--lane"), good: of("--good"), bad: of("--bad"), warn: of("--warn") };
}

/** Draws until the last dot has arrived; answers what sets more of them off. */
function painter(canvas: HTMLCanvasElement) {
  const ink = canvas.getContext("2d");
  let [dots, frame]: [Dot[], number] = [[], 0];
  let palette = colours(canvas);

  const draw = () => {
    const now = performance.now();
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    if (!ink) return;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    dots = dots.filter((dot) => along(dot, now) !== null);
    for (const dot of dots) {
      const part = along(dot, now) ?? 1;
      const lift = (dot.lift * Math.sin(Math.PI * part) * height) / 2.5;
      ink.fillStyle = palette[dot.tone];
      ink.beginPath();
      ink.arc(RADIUS + part * (width - 2 * RADIUS), height / 2 + lift, RADIUS, 0, 2 * Math.PI);
      ink.fill();
    }
    frame = dots.length > 0 ? requestAnimationFrame(draw) : 0;
  };

  return {
    count: () => dots.length,
    add: (more: Dot[]) => {
      if (more.length === 0) return;
      if (dots.length === 0) palette = colours(canvas);
      dots = [...dots, ...more];
      if (frame === 0) frame = requestAnimationFrame(draw);
    },
    end: () => cancelAnimationFrame(frame),
  };
}

type Props = { lane: Backend; way: Way; perSecond: number };

/** A way that jobs take, as thick as many do; each is a dot in the moment that it does. No dots where motion is not
 * wanted, or the key in use does not open the events. */
export function Pipe({ lane, way, perSecond }: Props) {
  const thick = breadth(perSecond);
  const lacking = useLacking(EVENTS);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (!canvas.current || lacking) return undefined;
    const paint = painter(canvas.current);
    const stop = onEvents((events) => {
      if (!calm() && !document.hidden) paint.add(born(events, lane, way, performance.now(), paint.count()));
    });
    return () => {
      stop();
      paint.end();
    };
  }, [lane, way, lacking]);
  return (
    <span className={`pipe ${thick > 0 ? "flows" : ""}`} aria-hidden="true">
      <svg focusable="false">
        <line x1="0" x2="100%" y1="50%" y2="50%" strokeWidth={thick || 2} />
      </svg>
      <canvas ref={canvas} />
    </span>
  );
}
