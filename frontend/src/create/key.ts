import { isRecord, text } from "../api.ts";

const KEPT = "booking-queue.key";

type Held = { request: string; key: string };

function kept(): Held | null {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    return isRecord(stored) ? { request: text(stored["request"]), key: text(stored["key"]) } : null;
  } catch {
    return null;
  }
}

let held = kept();

function keep(next: Held | null): void {
  held = next;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(next));
  } catch {
    // Then it holds until the page is loaded again.
  }
}

/** Not by randomUUID, which a browser has on https and localhost alone. */
const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * The Idempotency-Key of what is to be sent: the same until something else is, or it was accepted. So whoever got no
 * answer can send it again, and it is done once.
 */
export function keyFor(request: string): string {
  if (held?.request !== request) keep({ request, key: fresh() });
  return held?.key ?? "";
}

export const accepted = () => keep(null);
