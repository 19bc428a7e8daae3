import { BACKENDS, BACKEND_NAMES, type Backend } from "../api.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { count } from "../ui/format.ts";
import { usePoll } from "../ui/usePoll.ts";
import { Comparison } from "./Comparison.tsx";
import { type LaneCounters, readCounters } from "./counters.ts";

const EVERY_MS = 2000;

const SHOWN: Record<Backend, [key: string, label: string][]> = {
  rq: [
    ["waiting", "waiting"],
    ["active", "active"],
    ["delayed", "delayed"],
    ["completed", "completed"],
    ["failed", "failed"],
    ["total", "total"],
  ],
  redisStreams: [
    ["totalMessages", "messages"],
    ["pendingMessages", "pending"],
    ["dlqMessages", "dead letters"],
  ],
  kafka: [
    ["partitions", "partitions"],
    ["dlqPartitions", "dead-letter partitions"],
    ["topic", "topic"],
  ],
};

const shown = (value: string | number | undefined) =>
  value === undefined ? "–" : typeof value === "number" ? count(value) : value;

function Lane({ backend, counters }: { backend: Backend; counters: LaneCounters | undefined }) {
  const stale = counters?.stale;
  return (
    <section className={`card counters lane-${backend} ${stale ? "stale" : ""}`} aria-labelledby={`counters-${backend}`}>
      <h3 id={`counters-${backend}`}>{BACKEND_NAMES[backend]}</h3>
      <dl>
        {SHOWN[backend].map(([key, label]) => (
          <div key={key} className={key}>
            <dt>{label}</dt>
            <dd>{shown(counters?.figures?.[key])}</dd>
          </div>
        ))}
      </dl>
      <p className="silent">{stale}</p>
    </section>
  );
}

export function Counters() {
  const { data, error, at } = usePoll(readCounters, EVERY_MS);
  const old = error && data ? "old" : "";
  return (
    <>
      <section aria-labelledby="lanes">
        <div className="section-head">
          <h2 id="lanes">The three lanes</h2>
          <Freshness at={at} error={error} everyMs={EVERY_MS} />
        </div>
        <div className={old}>
          <Comparison counters={data} />
        </div>
      </section>
      <section aria-labelledby="brokers">
        <div className="section-head">
          <h2 id="brokers">What each broker counts</h2>
        </div>
        <div className={`three ${old}`}>
          {BACKENDS.map((backend) => (
            <Lane key={backend} backend={backend} counters={data?.lanes[backend]} />
          ))}
        </div>
      </section>
    </>
  );
}
