import { JobLink } from "../live/JobLink.tsx";
import { count, duration } from "../ui/format.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Broker, type Given, Table } from "./Broker.tsx";
import { none, readStreams } from "./views.ts";

const EVERY_MS = 2000;

export function Streams(given: Given) {
  const { data, error } = usePoll(readStreams, EVERY_MS);
  const pending = (data?.pending ?? []).map((each) => ({
    key: each.id,
    cells: [<code key="id">{each.id}</code>, each.consumer, duration(each.idleMs), String(each.deliveries)],
  }));
  const consumers = (data?.consumers ?? []).map((each) => ({
    key: each.name,
    cells: [each.name, count(each.pending), duration(each.idleMs)],
  }));
  const recent = (data?.recent ?? []).map((each) => ({
    key: each.streamId,
    cells: [
      <code key="id">{each.streamId}</code>,
      each.type,
      each.messageId ? <JobLink key="job" id={each.messageId} type={each.type} /> : "–",
    ],
  }));
  return (
    <Broker
      {...given}
      backend="redisStreams"
      about="An append-only log with a consumer group: an entry is pending from its delivery until it is acknowledged."
      stale={error?.message ?? data?.stale ?? ""}
      broker={data?.broker ?? ""}
      more={{ lag: data?.lag ?? null, group: data?.group ?? "" }}
    >
      <Table
        caption="Pending entries"
        head={["Entry", "Owner", "Idle", "Deliveries"]}
        numbers={["Idle", "Deliveries"]}
        empty={none(data, "No entry is pending: everything delivered was acknowledged.")}
        rows={pending}
      />
      <Table
        caption="Newest entries"
        head={["Entry", "Type", "Job"]}
        empty={none(data, "The stream is empty.")}
        rows={recent}
      />
      <Table
        caption="Consumers of the group"
        head={["Worker", "Has in hand", "Idle"]}
        numbers={["Has in hand", "Idle"]}
        empty={none(data, "Nobody reads the stream.")}
        rows={consumers}
      />
    </Broker>
  );
}
