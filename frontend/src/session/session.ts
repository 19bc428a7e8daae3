import { ApiError, type Told, answer, text, whenRefused } from "../api.ts";
import type { SessionAnswer } from "../openapi/api.ts";

/** What this browser may: `open` where no key is needed, `held` with a session, `needed` without; `untold` where nobody
 * says: then it is tried. */
export type Access = "unknown" | "untold" | "open" | "held" | "needed";

/** What a key may, and whose it is: "" is no tenant's. */
export type Grant = { tenant: string; scopes: readonly string[] };

export type Session = {
  access: Access;
  /** Of the key in use; null where none is, or where the gateway does not say. */
  grant: Grant | null;
  /** The dialog is shown; closed by hand it stays so until somebody asks for it. */
  asking: boolean;
  sending: boolean;
  error: string;
  /** Grows with each session begun: what failed without one is asked again. */
  round: number;
  /** Grows where another begins to look: what is shown, and what was being edited, is not for them. */
  whose: number;
};

export const nobody: Session = { access: "unknown", grant: null, asking: false, sending: false, error: "", round: 0, whose: 0 };

export type Change =
  | { type: "told"; required: boolean; held: boolean; grant?: Grant | null }
  | { type: "untold" }
  | { type: "refused" }
  | { type: "ask" }
  | { type: "close" }
  | { type: "sent" }
  | { type: "opened"; grant?: Grant | null }
  | { type: "failed"; error: string }
  | { type: "forgotten" };

const written = ({ tenant, scopes }: Grant) => JSON.stringify([tenant, scopes.toSorted()]);

/** Nobody is no other: what is there without a key was shown to no one. Of a key of which nothing is told nothing is known. */
const another = (before: Grant | null, now: Grant | null) => !now || (before !== null && written(before) !== written(now));

export function reduce(state: Session, change: Change): Session {
  switch (change.type) {
    case "told": {
      const grant = change.grant ?? null;
      if (!change.required || change.held) return { ...state, access: change.required ? "held" : "open", grant };
      return reduce(state, { type: "refused" });
    }
    case "untold":
      return state.access === "unknown" ? { ...state, access: "untold" } : state;
    case "refused":
      // Requests that were under way when the key came are refused late: what they say is of the past.
      return state.access === "needed" || state.sending ? state : { ...state, access: "needed", asking: true };
    case "ask":
      return { ...state, asking: true, error: "" };
    case "close":
      return { ...state, asking: false, error: "" };
    case "sent":
      return { ...state, sending: true, error: "" };
    case "opened": {
      const grant = change.grant ?? null;
      const whose = state.whose + (another(state.grant, grant) ? 1 : 0);
      return { ...state, access: "held", grant, asking: false, sending: false, error: "", round: state.round + 1, whose };
    }
    case "failed":
      return { ...state, sending: false, error: change.error };
    case "forgotten":
      return { ...state, access: "needed", grant: null, asking: true, error: "", whose: state.whose + 1 };
  }
}

const PATH = "/api/session";

const toGrant = ({ tenant, scopes }: Told<SessionAnswer>): Grant | null =>
  scopes ? { tenant: text(tenant), scopes: scopes.map(text) } : null;

async function readSession(): Promise<{ required: boolean; held: boolean; grant: Grant | null }> {
  const { body } = await answer<SessionAnswer>(PATH, {});
  return { required: body.required === true, held: text(body.expiresAt) !== "", grant: toGrant(body) };
}

let current = nobody;
const listeners = new Set<() => void>();
const holders: ((another: boolean) => void)[] = [];

/** For what is kept outside of the pages: told of each key that comes or is forgotten, and whether `another` looks now. */
export const onKey = (told: (another: boolean) => void): void => void holders.push(told);

function tell(change: Change): void {
  const [last, next] = [current, reduce(current, change)];
  if (next === last) return;
  current = next;
  const other = next.whose !== last.whose;
  if (other || next.round !== last.round) for (const told of holders) told(other);
  for (const listener of listeners) listener();
}

export const snapshot = () => current;

export function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

let doubting = false;

/** What was sent before the key came may be refused after it: so it is asked whether the session holds. */
async function doubt(): Promise<void> {
  if (current.access !== "held" || current.sending) return tell({ type: "refused" });
  if (doubting) return undefined;
  doubting = true;
  try {
    const told = await readSession();
    if (current.access === "held") tell({ type: "told", ...told });
  } catch (cause) {
    // Where nobody answers, the next 401 asks again.
    if (cause instanceof ApiError && cause.status === 401) tell({ type: "refused" });
  } finally {
    doubting = false;
  }
  return undefined;
}

const PATIENCE_MS = 1000;

/** A 401 anywhere asks for the key; a session from before is known from the beginning. */
export async function begin(): Promise<void> {
  whenRefused(() => void doubt());
  const patience = setTimeout(tell, PATIENCE_MS, { type: "untold" } satisfies Change);
  try {
    tell({ type: "told", ...(await readSession()) });
  } catch {
    // An older gateway, or none: the first 401 tells.
    tell({ type: "untold" });
  } finally {
    clearTimeout(patience);
  }
}

export const ask = () => tell({ type: "ask" });
export const close = () => tell({ type: "close" });

export async function open(apiKey: string): Promise<void> {
  tell({ type: "sent" });
  try {
    const body = JSON.stringify({ apiKey });
    const headers = { "Content-Type": "application/json" };
    const told = await answer<SessionAnswer>(PATH, { method: "POST", headers, body });
    tell({ type: "opened", grant: toGrant(told.body) });
  } catch (cause) {
    tell({ type: "failed", error: cause instanceof ApiError ? cause.message : String(cause) });
  }
}

export async function forget(): Promise<void> {
  try {
    await answer(PATH, { method: "DELETE" });
    tell({ type: "forgotten" });
  } catch (cause) {
    tell({ type: "ask" });
    tell({ type: "failed", error: `Not forgotten: ${cause instanceof Error ? cause.message : String(cause)}` });
  }
}
