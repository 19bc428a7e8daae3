import { useState } from "react";

const KEPT = "booking-queue.keys";

function kept(): boolean {
  try {
    return localStorage.getItem(KEPT) !== "off";
  } catch {
    return true;
  }
}

/** Whether single keys act: people who speak to their browser must be able to turn them off. */
export function useShortcuts(): [on: boolean, toggle: () => void] {
  const [on, setOn] = useState(kept);
  const toggle = () => {
    setOn(!on);
    try {
      localStorage.setItem(KEPT, on ? "off" : "on");
    } catch {
      // Then it holds for this visit.
    }
  };
  return [on, toggle];
}

type Props = { keys: readonly (readonly [key: string, does: string])[]; on: boolean; toggle: () => void };

export function Shortcuts({ keys, on, toggle }: Props) {
  return (
    <p className="shortcuts note">
      {keys.map(([key, does]) => (
        <span key={key} className={on ? undefined : "off"}>
          <kbd>{key}</kbd> {does}
        </span>
      ))}
      <button type="button" className="plain" aria-pressed={on} onClick={toggle}>
        Single keys {on ? "on" : "off"}
      </button>
    </p>
  );
}
