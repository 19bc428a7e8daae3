import { useEffect, useState } from "react";

const SHOWN_MS = 2000;

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

type Props = { text: string; label?: string; about?: string };

/** `about` tells a screen reader what is copied, where the label alone does not. */
export function Copy({ text, label = "Copy", about }: Props) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => setSaid((await toClipboard(text)) ? "Copied" : "Not allowed");
  return (
    <button type="button" className="copy" onClick={copy}>
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

/** A command to run elsewhere. */
export function Command({ text, about }: { text: string; about: string }) {
  return (
    <div className="command">
      <code>{text}</code>
      <Copy text={text} about={about} />
    </div>
  );
}
