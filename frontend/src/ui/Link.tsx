import type { MouseEvent, ReactNode } from "react";
import { navigate, parseRoute } from "../route.ts";
import { needOf } from "../session/may.ts";
import { useLacking } from "../session/useSession.ts";

type Props = { to: string; children: ReactNode; className?: string; current?: boolean; before?: () => void };

/** A real link: a plain click stays on the page, everything else is the browser's. To a page that the key in use does
 * not open there is none. */
export function Link({ to, children, className, current = false, before }: Props) {
  const page = parseRoute(to.replace(/[?#].*/, "")).page;
  const closed = useLacking(needOf(page));
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    before?.();
    navigate(to);
  };
  if (closed) return <span>{children}</span>;
  return (
    <a href={to} onClick={follow} className={className} aria-current={current ? "page" : undefined}>
      {children}
    </a>
  );
}
