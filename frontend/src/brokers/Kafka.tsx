import { count } from "../ui/format.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Broker, type Given, Table } from "./Broker.tsx";
import { type KafkaView, byTopic, none, readKafka } from "./views.ts";

const EVERY_MS = 2000;
const SERVER = "--bootstrap-server 127.0.0.1:9092";
const COMMANDS = [
  ["Offsets and lag of the group, by partition", `kafka-consumer-groups.sh ${SERVER} --describe --group booking-workers`],
  ["The topic and its partitions", `kafka-topics.sh ${SERVER} --describe --topic booking-events`],
  ["What is in it", `kafka-console-consumer.sh ${SERVER} --topic booking-events --from-beginning --max-messages 10`],
  ["Without Kafka's scripts, from our service", "curl -s localhost:3003/groups"],
] as const;

function rowsOf(view: KafkaView | null) {
  const owners = new Map(view?.members.flatMap((each) => each.partitions.map((at) => [at, each.worker] as const)) ?? []);
  return byTopic(view?.partitions ?? []).flatMap(([topic, partitions]) =>
    partitions.map((each) => ({
      key: `${topic} ${each.partition}`,
      cells: [
        <code key="at">{`${topic}/${each.partition}`}</code>,
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
      commands={COMMANDS}
    >
      <Table
        caption="Partitions (of retry topics only those with something in them)"
        head={["Partition", "End offset", "Committed", "Lag", "Read by"]}
        empty={none(data, "It has no partitions.")}
        rows={rowsOf(data)}
      />
    </Broker>
  );
}
