import { useState } from "react";
import { followPath } from "../route.ts";
import { Link } from "../ui/Link.tsx";
import { usePoll } from "../ui/usePoll.ts";
import { Broker, type Given, Table } from "./Broker.tsx";
import { REGISTRIES, type Registry, none, readRq } from "./views.ts";

const EVERY_MS = 2000;
const URL = `"redis://:$(cat .local/secrets/redis_password)@127.0.0.1:6379"`;
const COMMANDS = [
  ["Queues and registries, as RQ's own tool shows them", `.venv/bin/rq info -S json -u ${URL}`],
  ["How many wait", "redis-cli LLEN rq:queue:booking-queue"],
  ["The failed registry, newest first", "redis-cli ZREVRANGE rq:failed:booking-queue 0 9 WITHSCORES"],
  ["One job's hash", "redis-cli HGETALL rq:job:<id>"],
] as const;

export function Rq(given: Given) {
  const { data, error } = usePoll(readRq, EVERY_MS);
  const [chosen, setChosen] = useState<Registry>("active");
  const rows = (data?.jobs[chosen] ?? []).map((job) => ({
    key: job.id,
    cells: [
      <Link key="id" to={followPath(job.id)}>
        <code>{job.id.slice(0, 8)}</code>
      </Link>,
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
      commands={COMMANDS}
    >
      <div className="registries">
        <div className="buttons windows" role="group" aria-label="Registry">
          {REGISTRIES.map((each) => (
            <button key={each} type="button" aria-pressed={each === chosen} onClick={() => setChosen(each)}>
              {each}
            </button>
          ))}
        </div>
        <Table
          caption={`${chosen}, the first ten`}
          head={["Job", "Type", "More"]}
          empty={none(data, `Nothing is ${chosen}.`)}
          rows={rows}
        />
      </div>
    </Broker>
  );
}
