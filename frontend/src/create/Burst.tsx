import { JOBS } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { count, duration } from "../ui/format.ts";
import { type Sending, endedOf } from "./sending.ts";

export function Burst({ burst }: { burst: Sending }) {
  const { ids, of, hotel, refused, why, unwatched, tookMs, error } = burst;
  const ended = endedOf(burst.ended);
  return (
    <section className="burst" aria-label="The burst">
      <p role="status">
        <strong>
          {count(ids.size)} of {count(of)} accepted
        </strong>
        {tookMs !== null && ` in ${duration(tookMs)}`}
        {refused > 0 && <span className="wrong">, {count(refused)} refused: {why}</span>}
      </p>
      <progress max={of} value={ids.size} aria-label="accepted" />
      {unwatched ? (
        <p className="note">What becomes of them is not shown. {unwatched}.</p>
      ) : (
        <>
          <p>
            {count(ended)} ended{Object.entries(burst.ended).map(([end, some]) => `, ${count(some)} ${end}`)}
          </p>
          <progress max={of} value={ended} aria-label="ended" />
        </>
      )}
      <p className="wrong" role="alert">
        {error}
      </p>
      {!unwatched && (
        <p>
          <Link to={`${JOBS}?q=${encodeURIComponent(hotel)}`}>See them among the jobs</Link>
        </p>
      )}
    </section>
  );
}
