import type { ReactNode } from "react";
import { type Need, isOperators } from "./may.ts";
import { ask } from "./session.ts";
import { useLacking } from "./useSession.ts";

type AllowedProps = { need: Need; children: ReactNode; otherwise?: ReactNode };

/** What the key in use may do; nothing is offered that would be refused. */
export function Allowed({ need, children, otherwise = null }: AllowedProps) {
  return useLacking(need) ? otherwise : children;
}

/** In place of a page that the key in use does not open. */
export function NotForThisKey({ name, need, why }: { name: string; need: Need | null; why: string }) {
  return (
    <div className="page">
      <h1>{name}</h1>
      <div className="nothing card">
        <p>This page needs {isOperators(need) ? "an operator's" : "another"} key</p>
        <p className="note">{why}. The pages named above work with it.</p>
        <button type="button" onClick={ask}>
          Use another key
        </button>
      </div>
    </div>
  );
}
