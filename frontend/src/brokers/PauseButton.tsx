import { useState } from "react";
import { BACKEND_NAMES, type Backend } from "../api.ts";
import { pause } from "./limits.ts";

type Props = { backend: Backend; paused: boolean | null; done: () => void };

/** Stops a backend from starting jobs, on every worker; what runs goes on. */
export function PauseButton({ backend, paused, done }: Props) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const off = paused === null || busy;
  const press = async () => {
    if (off) return;
    setBusy(true);
    setError("");
    try {
      await pause(backend, !paused);
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause));
    }
    setBusy(false);
    done();
  };
  return (
    <div className="buttons">
      <p className="wrong" role="alert">
        {error}
      </p>
      {paused && <span className="pill warn">paused</span>}
      <button type="button" className={paused ? "primary" : undefined} aria-disabled={off} onClick={press}>
        {paused ? "Resume" : "Pause"}
        <span className="hidden"> {BACKEND_NAMES[backend]}</span>
      </button>
    </div>
  );
}
