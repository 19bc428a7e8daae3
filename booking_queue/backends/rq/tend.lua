-- What workers do between jobs, any of them at any time: all of it is safe to be done twice.

rq.INTERMEDIATE_MS = 60000 -- RQ's worker moves a job through this list; RQ, too, calls it stuck after a minute

-- Scheduled jobs whose time has come, by Redis' own clock, in the order they fell due.
local function promote(queue, limit)
  local due = redis.call('ZRANGEBYSCORE', rq.scheduled(queue), '-inf', rq.score(NOW), 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    redis.call('ZREM', rq.scheduled(queue), id)
    if rq.exists(id) then
      redis.call('HSET', rq.key(id), 'status', 'queued', 'enqueued_at', rq.now())
      redis.call('RPUSH', rq.list(queue), id)
      local leg = ledger.leg(id, 'rq', 'state', 'due')
      if (leg.state == 'delayed' or leg.state == 'retrying') and tonumber(leg.due) <= NOW then
        ledger.set_leg(id, 'rq', { state = 'queued' })
        ledger.emit(id, 'rq', 'queued')
      end
    end
  end
  return #due
end

-- Jobs whose worker let the lease run out, back to the head of their queue in the order they were taken.
local function reap(queue, limit)
  local members = redis.call('ZRANGEBYSCORE', rq.started(queue), '-inf', rq.score(NOW), 'LIMIT', 0, limit)
  for i = #members, 1, -1 do
    local member = members[i]
    local id, execution = string.match(member, '^([^:]*):?(.*)$')
    rq.strike(id, execution, redis.call('HGET', 'rq:execution:' .. member, 'worker_name'))
    redis.call('ZREM', rq.started(queue), member)
    if redis.call('HGET', rq.key(id), 'status') == 'started' then
      rq.give_back(id, queue)
      ledger.count('rq', 'reclaimed')
    end
  end
  return #members
end

-- rq_tend: limit -> promoted, given back, ms until the next is due (-1: none is)
function ops.rq_tend(a)
  local promoted, given, first = 0, 0, -1
  ledger.look_at_lines()
  for _, queue in ipairs(rq.QUEUES) do
    given = given + reap(queue, a[1])
    promoted = promoted + promote(queue, a[1])
    local nearest = redis.call('ZRANGE', rq.scheduled(queue), 0, 0, 'WITHSCORES')[2]
    if nearest then
      local left = math.max(0, math.ceil(tonumber(nearest) * 1000 - NOW))
      first = first < 0 and left or math.min(first, left)
    end
  end
  return { promoted, given, first }
end

-- rq_prune: limit, a cursor a level -> the next cursors. Scheduled jobs that were cancelled do not wait for their time: by
-- then their record might be gone, and they would be taken for expired ones.
function ops.rq_prune(a)
  local cursors = {}
  for level, queue in ipairs(rq.QUEUES) do
    local answer = redis.call('ZSCAN', rq.scheduled(queue), a[level + 1], 'COUNT', a[1])
    for i = 1, #answer[2], 2 do
      local id = answer[2][i]
      local leg = ledger.leg(id, 'rq', 'state')
      if leg.state == 'cancelling' or leg.state == 'cancelled' then
        redis.call('ZREM', rq.scheduled(queue), id)
        rq.settle(id, queue, leg)
      end
    end
    cursors[level] = answer[1]
  end
  return cursors
end

-- What RQ's worker had popped when it died.
local function rescue(queue)
  local list = rq.list(queue) .. ':intermediate'
  for _, id in ipairs(redis.call('LRANGE', list, 0, 99)) do
    local seen = list .. ':first_seen:' .. id
    if redis.call('EXISTS', 'rq:executions:' .. id) == 0
      and not redis.call('SET', seen, rq.score(NOW), 'NX', 'EX', 86400)
      and tonumber(redis.call('GET', seen)) * 1000 < NOW - rq.INTERMEDIATE_MS then
      redis.call('LREM', list, 1, id)
      redis.call('DEL', seen)
      rq.give_back(id, queue)
    end
  end
end

local function forget_dead_workers(queue)
  for _, key in ipairs(redis.call('SMEMBERS', 'rq:workers:' .. queue)) do
    if redis.call('EXISTS', key) == 0 then
      redis.call('SREM', 'rq:workers:' .. queue, key)
      redis.call('SREM', 'rq:workers', key)
    end
  end
end

-- rq_alive: worker, ttl (ms), busy or idle, then names and values of RQ's record of a worker. Housekeeping with it.
function ops.rq_alive(a)
  local worker = 'rq:worker:' .. NAMES .. a[1]
  local queues = table.concat(rq.QUEUES, ',')
  redis.call('HSET', worker, 'queues', queues, 'last_heartbeat', rq.now(), 'state', a[3], unpack(a, 4))
  redis.call('HSETNX', worker, 'birth', rq.now())
  redis.call('PEXPIRE', worker, a[2])
  redis.call('PEXPIRE', worker .. ':executions', a[2])
  redis.call('SADD', 'rq:workers', worker)
  for _, queue in ipairs(rq.QUEUES) do
    redis.call('SADD', 'rq:workers:' .. queue, worker)
    redis.call('SADD', 'rq:queues', rq.list(queue))
    redis.call('ZREMRANGEBYSCORE', rq.finished(queue), '-inf', rq.score(NOW))
    redis.call('ZREMRANGEBYSCORE', rq.failed(queue), '-inf', rq.score(NOW))
    redis.call('ZREMRANGEBYSCORE', rq.canceled(queue), '-inf', rq.score(NOW - RETENTION))
    rescue(queue)
    forget_dead_workers(queue)
  end
  return { 1 }
end

-- rq_gone: worker
function ops.rq_gone(a)
  local worker = 'rq:worker:' .. NAMES .. a[1]
  redis.call('DEL', worker, worker .. ':executions')
  redis.call('SREM', 'rq:workers', worker)
  for _, queue in ipairs(rq.QUEUES) do redis.call('SREM', 'rq:workers:' .. queue, worker) end
  return { 1 }
end
