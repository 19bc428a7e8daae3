-- A leg onto RQ: the check in the ledger, RQ's record and its queue, and the receipt, in one breath.

-- Somebody cancelled or stopped this very copy with RQ's own tools: to send it again would undo that.
local function called_off(id, gen)
  local job = redis.pcall('HMGET', rq.key(id), 'status', 'meta')
  if job.err or job[1] ~= 'canceled' and job[1] ~= 'stopped' then return false end
  return string.match(job[2] or '', '"generation": ?(%d+)') == tostring(gen)
end

function rq.publish(id, gen)
  local leg, why, known = ledger.outgoing(id, 'rq', gen)
  if not leg then return { why, known and known.state or false, known and known.receipt or false } end
  if TERMINAL[leg.state] or leg.state == 'cancelling' then
    ledger.published(id, 'rq', leg.state, '')
    return { 'over', leg.state, leg.receipt }
  end
  if called_off(id, gen) then
    ledger.published(id, 'rq', leg.state, '')
    rq.die(id, rq.CALLED_OFF)
    return { 'over', 'dead', leg.receipt }
  end
  local options = cjson.decode(redis.call('HGET', ledger.key(id), 'options'))
  local queue, due = rq.QUEUES[rq.LEVELS[options.priority or 'normal']], tonumber(leg.due or 0)
  local state = due > NOW and 'delayed' or 'queued'
  rq.write(id, queue, gen, state == 'delayed' and 'scheduled' or 'queued')
  redis.call('SADD', 'rq:queues', rq.list(queue))
  rq.revive(id, queue)
  if state == 'delayed' then
    redis.call('ZADD', rq.scheduled(queue), rq.score(due), id)
  else
    redis.call('ZREM', rq.scheduled(queue), id) -- a copy of before would call it queued again
    redis.call('RPUSH', rq.list(queue), id)
  end
  local receipt = cjson.encode({ jobId = id, queue = queue })
  ledger.published(id, 'rq', state, receipt)
  return { 'published', state, receipt }
end

ledger.on_turn.rq = rq.publish

-- rq_publish: id, generation -> why, state, receipt
function ops.rq_publish(a) return rq.publish(a[1], a[2]) end

-- rq_redrive: id -> 'published', state, receipt; or why not
function ops.rq_redrive(a)
  local gen, why, full = ledger.redrive(a[1], 'rq')
  if not gen then return { why, full } end
  return rq.publish(a[1], gen)
end

-- rq_discard: id. What RQ still holds of a job that has ended.
function ops.rq_discard(a)
  local answer, state = ops.discard({ a[1], 'rq' }), ledger.leg(a[1], 'rq', 'state').state
  if not TERMINAL[state] and state ~= 'cancelling' then return answer end
  for _, queue in ipairs(rq.QUEUES) do
    redis.call('ZREM', rq.scheduled(queue), a[1])
    rq.forget(a[1], queue)
  end
  return answer
end
