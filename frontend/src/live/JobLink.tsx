import { followPath } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { JobId } from "../ui/Short.tsx";

/** To a job's page; only bookings have one. */
export function JobLink({ id, type }: { id: string; type: string }) {
  if (type !== "booking") return <JobId id={id} />;
  return (
    <Link to={followPath(id)}>
      <JobId id={id} />
    </Link>
  );
}
