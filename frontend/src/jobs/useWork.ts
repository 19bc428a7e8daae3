import { type RefObject, useRef, useState } from "react";

export type Work = {
  working: boolean;
  /** That it is under way, or what came of it. */
  said: string;
  /** How far it is; for the eye alone, it changes too often to be told. */
  far: string;
  /** Where it is said; the focus goes there when what was pressed is gone. */
  line: RefObject<HTMLParagraphElement | null>;
  /** One thing at a time; tells whether it went well. */
  run: (act: (tell: (far: string) => void) => Promise<string>) => Promise<boolean>;
};

/** What went wrong is told until another choice is made. */
export function useComplaint(choice: string) {
  const [failed, setFailed] = useState(false);
  const [last, setLast] = useState(choice);
  if (choice !== last) {
    setLast(choice);
    setFailed(false);
  }
  return [failed, setFailed] as const;
}

/** What is done to many at once. */
export function useWork(): Work {
  const [working, setWorking] = useState(false);
  const [said, setSaid] = useState("");
  const [far, setFar] = useState("");
  const line = useRef<HTMLParagraphElement>(null);

  const run: Work["run"] = async (act) => {
    if (working) return false;
    let well = true;
    setWorking(true);
    setSaid("Working …");
    try {
      setSaid(await act(setFar));
    } catch (cause) {
      well = false;
      setSaid(cause instanceof Error ? cause.message : String(cause));
    }
    setFar("");
    setWorking(false);
    // Whoever has gone elsewhere meanwhile is left there.
    const { activeElement: at, body } = document;
    if (!at || at === body || line.current?.parentElement?.contains(at)) line.current?.focus();
    return well;
  };
  return { working, said, far, line, run };
}
