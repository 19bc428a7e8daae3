import { CREATE } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { Counters } from "./Counters.tsx";
import { Services } from "./Services.tsx";
import "./services.css";

export function Overview() {
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>Overview</h1>
          <p className="lead">One booking workflow on three queue backends, side by side.</p>
        </div>
        <Link to={CREATE} className="button primary">
          New booking
        </Link>
      </div>
      <Counters />
      <Services />
    </div>
  );
}
