import { Freshness } from "../ui/Freshness.tsx";
import { Pill } from "../ui/Pill.tsx";
import { usePoll } from "../ui/usePoll.ts";
import { type Service, readHealth, summary } from "./health.ts";
import "./services.css";

const EVERY_MS = 3000;
const PLACEHOLDERS = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

function List({ services }: { services: Service[] }) {
  if (services.length === 0) return <p className="notice">Monitoring knows of no service yet.</p>;
  return (
    <ul className="services">
      {services.map((each) => (
        <li key={`${each.name} ${each.url}`}>
          <span className="name">{each.name}</span>
          <Pill state={each.healthy ? "healthy" : "unhealthy"} />
          <span className="where">{each.url}</span>
          {each.note && <span className="why">{each.note}</span>}
        </li>
      ))}
    </ul>
  );
}

export function Services() {
  const { data, error, at } = usePoll(readHealth, EVERY_MS);
  return (
    <section aria-labelledby="services">
      <div className="section-head">
        <h2 id="services">
          Services <span className="aside">{data && summary(data)}</span>
        </h2>
        {data?.stale && !error && <p className="silent">{data.stale}</p>}
        <Freshness at={at} error={error} everyMs={EVERY_MS} quiet />
      </div>
      {data && (
        <div className={error || data.stale ? "old" : undefined}>
          <List services={data.services} />
        </div>
      )}
      {!data && error && <p className="notice bad">No word on the services, good or bad.</p>}
      {!data && !error && (
        <ul className="services" aria-hidden="true">
          {PLACEHOLDERS.map((each) => (
            <li key={each} className="placeholder" />
          ))}
        </ul>
      )}
    </section>
  );
}
