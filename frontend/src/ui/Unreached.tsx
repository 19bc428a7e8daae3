import { ApiError } from "../api.ts";

/** In place of a list that could not be had: what is down, what that does not stop, and what to do. */
export function Unreached({ error }: { error: Error }) {
  const away = error instanceof ApiError && (error.status === 0 || error.status >= 500);
  return (
    <div className="nothing" role="alert">
      <p className="wrong">{error.message}</p>
      {away && (
        <p className="note">
          What was accepted is done all the same. <code>make ps</code> tells what runs, <code>make logs S=api</code> what the
          gateway says. This page asks again by itself.
        </p>
      )}
    </div>
  );
}
