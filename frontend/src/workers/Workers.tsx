import { readKafka } from "../brokers/views.ts";
import type { Board } from "../live/board.ts";
import { BOARD_MS, useBoard } from "../live/useBoard.ts";
import { needOf } from "../session/may.ts";
import { useLacking } from "../session/useSession.ts";
import { Freshness } from "../ui/Freshness.tsx";
import { Command } from "../ui/Copy.tsx";
import { age } from "../ui/format.ts";
import { useNow } from "../ui/useNow.ts";
import { usePoll } from "../ui/usePoll.ts";
import { killing } from "../brokers/commands.ts";
import { WorkerCard } from "./WorkerCard.tsx";
import { noneTold, readRunning, runsOf } from "./api.ts";
import "../letters/letters.css";
import "../overview/overview.css";
import "./workers.css";

const EVERY_MS = 2000;
const REST = 6;

function Lost({ lost }: { lost: { id: string; seconds: number | null }[] }) {
  if (lost.length === 0) return null;
  return (
    <section className="notice warn" aria-label="Workers that are gone">
      {lost.map((each) => (
        <p key={each.id}>
          <strong>{each.id}</strong> is gone: last heard of {each.seconds === null ? "some time" : age(each.seconds)} ago. Its
          jobs run again elsewhere once their lease of 15 s has ended.
        </p>
      ))}
    </section>
  );
}

/** Other numbers of them, and one less by force. */
function More({ board, kafka }: { board: Board | null; kafka: string }) {
  const first = board?.workers.find((worker) => !worker.error);
  const kill = first && killing(first, kafka);
  const wanted = board?.wanted ?? null;
  const within = board?.sla.seconds ?? null;
  return (
    <section className="card commands-card" aria-labelledby="more-workers">
      <h2 id="more-workers">More or fewer</h2>
      {wanted !== null && within !== null && (
        <p className="lead">
          {wanted} needed now: so many keep up with what comes, and work off what waits within {age(within)}.
        </p>
      )}
      <ul>
        <li>
          <p className="note">Set how many there are</p>
          <Command text={`make scale N=${Math.max(wanted ?? 0, (board?.count ?? 3) + 1)}`} about="the command that sets the number of workers" />
        </li>
        <li>
          <p className="note">See all processes</p>
          <Command text="make ps" about="the command that lists the processes" />
        </li>
        {kill && (
          <li>
            <p className="note">Kill {first.id}, and watch its jobs move</p>
            <Command text={kill} about="the command that kills a worker" />
          </li>
        )}
      </ul>
    </section>
  );
}

export function Workers() {
  const { data, error, at } = useBoard();
  const lacking = useLacking(needOf("jobs"));
  const running = usePoll(lacking ? noneTold : readRunning, EVERY_MS, REST).data ?? [];
  const kafka = usePoll(readKafka, EVERY_MS).data;
  const now = useNow(1000);
  const partitions = (id: string) => {
    if (!kafka || kafka.stale) return null;
    return kafka.members.find((each) => each.worker === id)?.partitions ?? [];
  };
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>Workers</h1>
          <p className={data?.workersStale ? "silent" : "lead"}>
            {data?.workersStale || "Every replica, found by its heartbeat. Each works for all three backends."}
          </p>
        </div>
        <Freshness at={at} error={error} everyMs={BOARD_MS} />
      </div>
      <Lost lost={data?.lost ?? []} />
      {data?.count === 0 && !data.workersStale && (
        <p className="notice bad">No worker runs. Bookings are accepted and wait until one is there.</p>
      )}
      {!data && (
        <p className="notice">
          {error ? `Nothing is known of the workers: ${error.message}. They work on without being watched.` : "Asking…"}
        </p>
      )}
      <ul className={`workers ${error && data ? "old" : ""}`}>
        {data?.workers.map((worker) => (
          <WorkerCard
            key={worker.id}
            worker={worker}
            jobs={runsOf(worker, running)}
            partitions={worker.partitions ?? partitions(worker.id)}
            now={now}
          />
        ))}
      </ul>
      <More board={data ?? null} kafka={kafka?.broker ?? ""} />
    </div>
  );
}
