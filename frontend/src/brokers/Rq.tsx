import { useState } from "react";
import { JobLink } from "../live/JobLink.tsx";
import { BROKERS, navigate, useQuery, withQuery } from "../route.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Broker, type Given, Table } from "./Broker.tsx";
import { REGISTRIES, type Registry, none, readRq } from "./views.ts";

const EVERY_MS = 2000;

export function Rq(given: Given) {
  const { data, error } = usePoll(readRq, EVERY_MS);
  const query = useQuery();
  const [first, setFirst] = useState<Registry | null>(null);
  const asked = REGISTRIES.find((each) => each === query.get("registry"));
  const chosen = asked ?? first ?? "active";
  const choose = (registry: Registry) => navigate(withQuery(BROKERS, query, { registry }), { replace: true });
  // Where somebody comes in, the first registry with something in it; it stays, whatever comes then.
  if (first === null && data) setFirst(REGISTRIES.find((each) => data.jobs[each].length > 0) ?? "active");
  const rows = (data?.jobs[chosen] ?? []).map((job) => ({
    key: job.id,
    cells: [
      <JobLink key="id" id={job.id} type={job.name} />,
      job.name,
      job.note,
    ],
  }));
  return (
    <Broker
      {...given}
      backend="rq"
      about="Lists and sorted sets: a queue a level, and a registry for each state a job can be in."
      stale={error?.message ?? data?.stale ?? ""}
      broker={data?.broker ?? ""}
    >
      <div className="registries">
        <div className="buttons windows" role="group" aria-label="Registry">
          {REGISTRIES.map((each) => (
            <button key={each} type="button" aria-pressed={each === chosen} onClick={() => choose(each)}>
              {each}
            </button>
          ))}
        </div>
        <Table
          caption={`The first ten that are ${chosen}`}
          head={["Job", "Type", "More"]}
          empty={none(data, `Nothing is ${chosen}.`)}
          rows={rows}
        />
      </div>
    </Broker>
  );
}
