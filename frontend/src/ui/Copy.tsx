import { useEffect, useState } from "react";
import type { Access } from "../session/session.ts";

const SHOWN_MS = 2000;

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

type Props = { text: string; label?: string; about?: string; disabled?: boolean };

/** `about` tells a screen reader what is copied, where the label alone does not. */
export function Copy({ text, label = "Copy", about, disabled = false }: Props) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => setSaid((await toClipboard(text)) ? "Copied" : "Not allowed");
  return (
    <button type="button" className="copy" onClick={copy} disabled={disabled}>
      <span className="both">
        <span className={said ? "away" : undefined}>
          {label}
          {about && <span className="hidden"> {about}</span>}
        </span>
        <span className={said ? undefined : "away"} role="status">
          {said}
        </span>
      </span>
    </button>
  );
}

/** What asks the same from a shell, with the key where one is needed; with a body it is sent as JSON. */
export function curl(path: string, access: Access, body?: unknown): string {
  const key = access === "held" ? ' -H "x-api-key: $KEY"' : "";
  const quoted = JSON.stringify(body)?.replaceAll("'", "'\\''");
  const data = quoted ? ` -H 'content-type: application/json' -d '${quoted}'` : "";
  return `curl -s ${window.location.origin}${path}${key}${data}`;
}

/** A command to run elsewhere. */
export function Command({ text, about }: { text: string; about: string }) {
  return (
    <div className="command">
      <code>{text}</code>
      <Copy text={text} about={about} />
    </div>
  );
}
