/* Written by `make openapi` from docs/openapi. */

/**
 * `about` names the source, backend or worker; `since` is when it happened, null for what goes on.
 */
export interface AlarmAnswer {
  alarm: string;
  about: string;
  detail: string;
  remedy: string;
  since: string | null;
}
export interface AllJobCounts {
  rq: JobCounts;
  redisStreams: JobCounts;
  kafka: JobCounts;
  all: JobCounts;
}
/**
 * Legs since the ledger began; `errorRate` over the last five minutes.
 */
export interface JobCounts {
  accepted: number | null;
  processed: number | null;
  failed: number | null;
  cancelled: number | null;
  errorRate: number | null;
}
export interface ByBackend_UnionFloat__NoneType__ {
  rq: number | null;
  redisStreams: number | null;
  kafka: number | null;
}
export interface ByBackend_UnionInt__NoneType__ {
  rq: number | null;
  redisStreams: number | null;
  kafka: number | null;
}
export interface ByBackend_Unsent_ {
  rq: Unsent;
  redisStreams: Unsent;
  kafka: Unsent;
}
export interface Unsent {
  rows: number | null;
  oldestAgeSeconds: number | null;
}
/**
 * A worker, over the streams of all levels.
 */
export interface ConsumerAnswer {
  name: string;
  pending: number;
  idleMs: number;
}
/**
 * `backlog`: what each broker holds that is not finished; `waiting`: how much of it could start, and has not.
 * `lag`: how many entries of its log the workers' group has not got (Kafka: not finished) yet; RQ has no log.
 */
export interface DashboardAnswer {
  timestamp: string;
  queues: Queues;
  rates: Rates;
  latency: Latency;
  backlog: ByBackend_UnionInt__NoneType__;
  waiting: ByBackend_UnionInt__NoneType__;
  lag: ByBackend_UnionInt__NoneType__;
  oldestAgeSeconds: ByBackend_UnionFloat__NoneType__;
  outbox: ByBackend_Unsent_;
  workers: WorkersAnswer;
  metrics: MetricsAnswer;
  alarms: AlarmAnswer[];
  staleness: {
    [k: string]: Staleness;
  };
}
export interface Queues {
  rq: RqQueue;
  redisStreams: StreamsQueue;
  kafka: KafkaQueue;
}
export interface RqQueue {
  waiting: number | null;
  active: number | null;
  completed: number | null;
  failed: number | null;
  delayed: number | null;
  total: number | null;
}
export interface StreamsQueue {
  totalMessages: number | null;
  pendingMessages: number | null;
  dlqMessages: number | null;
}
export interface KafkaQueue {
  topic: string | null;
  partitions: number | null;
  dlqPartitions: number | null;
}
/**
 * Over the last `overSeconds`.
 */
export interface Rates {
  rq: Rate;
  redisStreams: Rate;
  kafka: Rate;
  overSeconds: number;
}
export interface Rate {
  acceptedPerSecond: number | null;
  completedPerSecond: number | null;
  failedPerSecond: number | null;
  retriedPerSecond: number | null;
}
/**
 * Over the last `overSeconds`: waiting (until the start) and running (one attempt).
 */
export interface Latency {
  rq: LaneLatency;
  redisStreams: LaneLatency;
  kafka: LaneLatency;
  overSeconds: number;
}
export interface LaneLatency {
  wait: Percentiles;
  run: Percentiles;
}
/**
 * Milliseconds.
 */
export interface Percentiles {
  count: number;
  mean: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}
export interface WorkersAnswer {
  count: number | null;
  active: number | null;
  running: ByBackend_UnionInt__NoneType__;
  capacity: ByBackend_UnionInt__NoneType__;
  utilisation: ByBackend_UnionFloat__NoneType__;
  list: WorkerAnswer[];
  lost: LostWorker[];
  desired: Desired;
}
export interface WorkerAnswer {
  id: string;
  host: string;
  pid: number;
  startedAt: string;
  lastHeartbeatSeconds: number | null;
  running: {
    [k: string]: number;
  } | null;
  capacity: {
    [k: string]: number;
  } | null;
  jobs:
    | {
        [k: string]: unknown;
      }[]
    | null;
  partitions: string[] | null;
  idle: string | null;
  processed: number | null;
  failed: number | null;
  memoryBytes: number | null;
  cpuPercent: number | null;
  error: string | null;
}
export interface LostWorker {
  id: string;
  lastSeenSeconds: number;
}
export interface Desired {
  count: number | null;
  byBackend: ByBackend_UnionInt__NoneType__;
  formula: string;
}
export interface MetricsAnswer {
  jobs: AllJobCounts;
  bookingsConfirmed: number | null;
  averageProcessingMs: number | null;
  queueDepth: number | null;
  sla: Sla;
  redis: RedisAnswer;
  machine: Machine;
}
/**
 * Of the jobs that were done in the last `overSeconds`, those within `slaSeconds` of acceptance, or of the time
 * that they were put off to; by type, without those of which none was done.
 */
export interface Sla {
  slaSeconds: number;
  overSeconds: number;
  types: {
    [k: string]: SlaShare;
  };
}
export interface SlaShare {
  inTime: number;
  total: number;
  share: number | null;
}
export interface RedisAnswer {
  opsPerSecond: number | null;
  memoryBytes: number | null;
  maxMemoryBytes: number | null;
  clients: number | null;
  latencyMs: number | null;
}
/**
 * Where the monitoring service runs.
 */
export interface Machine {
  cpuPercent: number;
  memoryPercent: number;
  memoryBytes: number;
  processMemoryBytes: number;
  processCpuPercent: number;
}
export interface Staleness {
  stale: boolean;
  ageSeconds: number | null;
  error: string | null;
}
export interface HistoryAnswer {
  from: number;
  everySeconds: number;
  times: number[];
  series: {
    [k: string]: (number | null)[];
  };
}
export interface KafkaAnswer {
  topic: string | null;
  group: string | null;
  lag: number | null;
  messagesInStore: number | null;
  dlqPartitions: number | null;
  partitions: PartitionAnswer[];
  members: {
    [k: string]: unknown;
  }[];
  stale: boolean;
  ageSeconds: number | null;
  error: string | null;
  timestamp: string;
  broker: string;
}
export interface PartitionAnswer {
  topic: string;
  partition: number;
  beginOffset: number;
  endOffset: number;
  committed: number | null;
  lag: number;
}
export interface RqAnswer {
  waiting: RqRow[];
  active: RqRow[];
  completed: RqRow[];
  failed: RqRow[];
  delayed: RqRow[];
  stale: boolean;
  ageSeconds: number | null;
  error: string | null;
  timestamp: string;
  broker: string;
}
/**
 * What else there is depends on the state.
 */
export interface RqRow {
  id: string;
  name: string;
  data: {
    [k: string]: unknown;
  };
  progress?: unknown;
  returnvalue?: unknown;
  failedReason?: unknown;
  delay?: unknown;
}
export interface ServiceAnswer {
  name: string;
  url: string;
  status: "healthy" | "unhealthy";
  data?: unknown;
  error?: string;
}
export interface ServicesAnswer {
  timestamp: string;
  services: ServiceAnswer[];
  stale: boolean;
  ageSeconds: number | null;
  error: string | null;
}
export interface StreamsAnswer {
  stream: string | null;
  group: string | null;
  lag: number | null;
  totalMessages: number | null;
  consumers: ConsumerAnswer[];
  recentMessages: {
    [k: string]: unknown;
  }[];
  pendingMessages: (string | number)[][];
  stale: boolean;
  ageSeconds: number | null;
  error: string | null;
  timestamp: string;
  broker: string;
}
export interface Problem {
  type: string;
  code: string;
  title: string;
  status: number;
  detail: string;
  error: string;
  traceId: string;
  errors?: {
    field: string;
    message: string;
    code: string;
  }[];
}
