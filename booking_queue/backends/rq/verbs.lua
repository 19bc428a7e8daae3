-- What a delivery can do. With a claim the ledger decides first; without a lease nothing is changed anywhere.
-- Every one begins with: id, queue, execution, worker, token ('' for none)

-- RQ notes who executes what. We do with the first renewal of a lease, so that short jobs do not pay for it.
local function note(id, execution, worker)
  local member, seconds, ttl = id .. ':' .. execution, rq.score(NOW), LEASE + 60000
  local key = 'rq:execution:' .. member
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'id', execution, 'job_id', id, 'created_at', seconds, 'worker_name', worker)
  end
  redis.call('HSET', key, 'last_heartbeat', seconds)
  redis.call('PEXPIRE', key, ttl)
  redis.call('ZADD', 'rq:executions:' .. id, rq.score(NOW + ttl), execution)
  redis.call('PEXPIRE', 'rq:executions:' .. id, ttl)
  redis.call('SADD', 'rq:worker:' .. worker .. ':executions', member)
  redis.call('PEXPIRE', 'rq:worker:' .. worker .. ':executions', ttl)
end

function rq.strike(id, execution, worker)
  local member = id .. ':' .. execution
  if redis.call('DEL', 'rq:execution:' .. member) == 0 then return end
  redis.call('ZREM', 'rq:executions:' .. id, execution)
  if worker then redis.call('SREM', 'rq:worker:' .. worker .. ':executions', member) end
end

-- Out of the started registry. Was it still ours?
function rq.leave(a)
  rq.strike(a[1], a[3], NAMES .. a[4])
  return redis.call('ZREM', rq.started(a[2]), a[1] .. ':' .. a[3]) == 1
end

-- To the head of its queue, for whoever is free next.
function rq.give_back(id, queue)
  if not rq.exists(id) then return end
  redis.call('HSET', rq.key(id), 'status', 'queued', 'worker_name', '')
  redis.call('LPUSH', rq.list(queue), id)
end

-- rq_extend: … -> 1, or 0 when it is not ours any more
function ops.rq_extend(a)
  local id, member = a[1], a[1] .. ':' .. a[3]
  if a[5] ~= '' then
    -- The fence is the ledger's: an entry reaped while this worker slept is put back when nobody has begun since.
    if not ledger.extend(id, 'rq', a[5]) then return { 0 } end
  elseif not redis.call('ZSCORE', rq.started(a[2]), member) then
    return { 0 }
  end
  redis.call('ZADD', rq.started(a[2]), rq.score(NOW + (a[5] ~= '' and LEASE or NOT_BEGUN)), member)
  note(id, a[3], NAMES .. a[4])
  if rq.exists(id) then redis.call('HSET', rq.key(id), 'last_heartbeat', rq.now()) end
  return { 1 }
end

-- rq_ack: …, result (JSON), result (base64 of the JSON, or '' for None, of which RQ keeps no trace either), whether its
-- options ask for no removal
function ops.rq_ack(a)
  local done = ledger.complete(a[1], 'rq', a[5], a[6])
  if done ~= true then return { done and 1 or 0 } end
  rq.leave(a)
  local result = a[7] ~= '' and { 'type', 1, 'worker_name', NAMES .. a[4], 'execution_id', a[3], 'return_value', a[7] }
  rq.succeed(a[1], a[2], result, a[8] == '1')
  return { 1 }
end

-- rq_drop: … . A copy too many, taken off unrun.
function ops.rq_drop(a)
  rq.leave(a)
  rq.settle(a[1], a[2], ledger.leg(a[1], 'rq', 'state', 'error', 'limited', 'gen'))
  return { 1 }
end

-- rq_retry: …, error, delay (ms), the next generation's meta (JSON)
function ops.rq_retry(a)
  local id, queue = a[1], a[2]
  local gen, due = ledger.retry(id, 'rq', a[5], a[6], a[7])
  if not gen then return { 0 } end
  rq.leave(a)
  local status = due > NOW and 'scheduled' or 'queued'
  if rq.exists(id) then
    redis.call('HSET', rq.key(id), 'status', status, 'meta', a[8], 'ended_at', rq.now(), 'worker_name', '',
      'retries_left', rq.RETRIES)
  else
    rq.write(id, queue, gen, status)
  end
  if due > NOW then
    redis.call('ZADD', rq.scheduled(queue), rq.score(due), id)
  else
    redis.call('RPUSH', rq.list(queue), id)
  end
  return { 1 }
end

local function failure(a, encoded)
  return { 'type', 2, 'worker_name', NAMES .. a[4], 'execution_id', a[3], 'exc_string', encoded }
end

-- rq_bury: …, reason, reason (base64 of its zlib), killer
function ops.rq_bury(a)
  if not ledger.bury(a[1], 'rq', a[5], a[6], a[8]) then return { 0 } end
  rq.leave(a)
  rq.fail(a[1], a[2], a[6], failure(a, a[7]))
  return { 1 }
end

-- What stands in a record, as far as it is text.
function rq.readable(data)
  return type(data) == 'string' and (string.gsub(string.sub(data, 1, 16384), '[\128-\255]', '?')) or ''
end

-- rq_condemn: …, reason, reason (base64 of its zlib). Nobody may run what is in RQ's record. A leg of ours that rests
-- dies of it, to be redriven from the ledger; one that runs elsewhere is left alone.
function ops.rq_condemn(a)
  local id, state = a[1], ledger.leg(a[1], 'rq', 'state').state
  if state == 'active' then return ops.rq_drop(a) end
  if state and not TERMINAL[state] and state ~= 'cancelling' then rq.die(id, a[6]) end
  rq.leave(a)
  if not state then ledger.letter(id, 'rq', '', rq.readable(redis.pcall('HGET', rq.key(id), 'data')), a[6]) end
  rq.fail(id, a[2], a[6], failure(a, a[7]))
  return { 1 }
end

-- rq_release: … . Unrun, for another worker to start at once.
function ops.rq_release(a)
  if a[5] ~= '' and not ledger.release(a[1], 'rq', a[5]) then return { 0 } end
  if rq.leave(a) then rq.give_back(a[1], a[2]) end
  return { 1 }
end
