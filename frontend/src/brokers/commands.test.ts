import { describe, expect, it } from "vitest";
import { commandsOf, killing } from "./commands.ts";

const OURS = "curl -s http://localhost:5173/monitoring/queue/kafka";
const texts = (backend: "rq" | "redisStreams" | "kafka", broker: string) =>
  commandsOf(backend, broker, OURS).commands.map(([, text]) => text);

describe("how to ask a broker oneself", () => {
  it("is in its container under Compose", () => {
    for (const text of [...texts("rq", "redis:6379"), ...texts("redisStreams", "redis:6379")])
      expect(text).toMatch(/^docker compose exec (redis|queue) sh -c '.*\/run\/booking-queue.*redis_password.*'$/);
    const [first, ...rest] = texts("kafka", "kafka:19092");
    expect(first).toContain("docker compose exec kafka /opt/kafka/bin/kafka-consumer-groups.sh --bootstrap-server kafka:19092");
    expect(rest.at(-1)).toBe(OURS);
  });

  it("names the user that a Redis without a default one wants", () => {
    for (const text of [...texts("rq", "redis:6379"), ...texts("redisStreams", "redis:6379")])
      expect(text).toMatch(/redis-cli --user \$\(cat redis_user\) |redis:\/\/\$REDIS_USERNAME:/);
  });

  it("is on this machine without Docker, at the port that is in use, with what comes with the suite first", () => {
    const [rq, length] = texts("rq", "127.0.0.1:7001");
    expect(rq).toBe('.venv/bin/rq info -S json -u "redis://:$(cat .local/secrets/redis_password)@127.0.0.1:7001"');
    expect(length).toBe(
      "REDISCLI_AUTH=$(cat .local/secrets/redis_password) redis-cli -h 127.0.0.1 -p 7001 LLEN rq:queue:booking-queue",
    );
    const { commands, note } = commandsOf("kafka", "127.0.0.1:7002", OURS);
    expect(commands.map(([, text]) => text)).toEqual([OURS, ...Array(3).fill(expect.stringContaining("127.0.0.1:7002"))]);
    expect(JSON.stringify([commands, rq])).not.toContain("docker");
    expect(note).toContain("do not come with the suite");
  });

  it("kills a worker by what there is of it", () => {
    const worker = { id: "3f2a9c71d0be", pid: "17" };
    expect([killing(worker, "kafka:19092"), killing(worker, "127.0.0.1:9092"), killing(worker, "")]).toEqual([
      "docker kill 3f2a9c71d0be",
      "kill -9 17",
      "",
    ]);
  });

  it("takes the default port where monitoring says nothing", () => {
    expect(texts("redisStreams", "")[0]).toContain("-h 127.0.0.1 -p 6379");
  });
});
