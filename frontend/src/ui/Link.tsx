import type { MouseEvent, ReactNode } from "react";
import { navigate } from "../route.ts";

type Props = { to: string; children: ReactNode; className?: string; current?: boolean; before?: () => void };

/** A real link: a plain click stays on the page, everything else is the browser's. */
export function Link({ to, children, className, current = false, before }: Props) {
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    before?.();
    navigate(to);
  };
  return (
    <a href={to} onClick={follow} className={className} aria-current={current ? "page" : undefined}>
      {children}
    </a>
  );
}
