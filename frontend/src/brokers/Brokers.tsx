import type { Backend } from "../api.ts";
import { BOARD_MS, useBoard } from "../live/useBoard.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { usePoll } from "../ui/usePoll.ts";
import { Kafka } from "./Kafka.tsx";
import { Rq } from "./Rq.tsx";
import { Streams } from "./Streams.tsx";
import { readPaused } from "./limits.ts";
import "../letters/letters.css";
import "../jobs/jobs.css";
import "./brokers.css";

const EVERY_MS = 3000;

export function Brokers() {
  const { data, error, at } = useBoard();
  const limits = usePoll(readPaused, EVERY_MS);
  const given = (backend: Backend) => ({
    lane: data?.lanes[backend],
    paused: limits.data?.has(backend) ?? null,
    changed: limits.again,
  });
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>Backends</h1>
          <p className="lead">What each broker holds, in its own words.</p>
        </div>
        <Freshness at={at} error={error} everyMs={BOARD_MS} />
      </div>
      <Rq {...given("rq")} />
      <Streams {...given("redisStreams")} />
      <Kafka {...given("kafka")} />
    </div>
  );
}
