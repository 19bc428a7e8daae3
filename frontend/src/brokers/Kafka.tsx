import { count } from "../ui/format.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Broker, type Given, Table } from "./Broker.tsx";
import { type KafkaView, byTopic, none, readKafka } from "./views.ts";

const EVERY_MS = 2000;

/** All topics begin alike: where there is little room, that is left out. */
function Place({ topic, partition, prefix }: { topic: string; partition: number; prefix: string }) {
  const begins = prefix !== "" && topic.startsWith(prefix) ? prefix : "";
  return (
    <code title={`${topic}/${partition}`}>
      {begins && <span className="prefix">{begins}</span>}
      <span>{`${topic.slice(begins.length)}/${partition}`}</span>
    </code>
  );
}

function rowsOf(view: KafkaView | null) {
  const owners = new Map(view?.members.flatMap((each) => each.partitions.map((at) => [at, each.worker] as const)) ?? []);
  return byTopic(view?.partitions ?? []).flatMap(([topic, partitions]) =>
    partitions.map((each) => ({
      key: `${topic} ${each.partition}`,
      cells: [
        <Place key="at" topic={topic} partition={each.partition} prefix={view?.topic ?? ""} />,
        count(each.end),
        each.committed === null ? "–" : count(each.committed),
        count(each.lag),
        owners.get(`${topic}/${each.partition}`) ?? "nobody",
      ],
    })),
  );
}

export function Kafka(given: Given) {
  const { data, error } = usePoll(readKafka, EVERY_MS);
  return (
    <Broker
      {...given}
      backend="kafka"
      about="A partitioned log: each partition is read by one worker, and an offset is committed once all before it is done."
      stale={error?.message ?? data?.stale ?? ""}
      broker={data?.broker ?? ""}
      more={{ lag: data?.lag ?? null, group: data?.group ?? "" }}
    >
      <Table
        caption="Partitions (of retry topics only those with something in them)"
        head={["Partition", "End", "Committed", "Lag", "Read by"]}
        numbers={["End", "Committed", "Lag"]}
        empty={none(data, "It has no partitions.")}
        rows={rowsOf(data)}
      />
    </Broker>
  );
}
