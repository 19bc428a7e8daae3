-- RQ's own records in the formats of rq 3, so that its tools and its worker read them. Every key here is RQ's.
local rq = {}

rq.FUNCTION = 'worker_service.rq_job.perform'
rq.LEVELS = { critical = 1, high = 2, normal = 3, low = 4 }
rq.QUEUES = { NAMES .. 'booking-queue-critical', NAMES .. 'booking-queue-high', NAMES .. 'booking-queue',
              NAMES .. 'booking-queue-low' } -- most urgent first
rq.RETRIES = 10         -- RQ's own count, for what befalls a worker: `rq info`, too, clears up after a dead one
rq.CALLED_OFF = "cancelled with RQ's own tools; redrive it to run it after all"
rq.UNLIMITED_S = 3660   -- RQ kills a job after this; our own limit, at most an hour, comes before

function rq.key(id) return 'rq:job:' .. id end
function rq.list(queue) return 'rq:queue:' .. queue end
function rq.started(queue) return 'rq:wip:' .. queue end
function rq.scheduled(queue) return 'rq:scheduled:' .. queue end
function rq.finished(queue) return 'rq:finished:' .. queue end
function rq.failed(queue) return 'rq:failed:' .. queue end
function rq.canceled(queue) return 'rq:canceled:' .. queue end
function rq.results(id) return 'rq:results:' .. id end

function rq.exists(id) return redis.call('EXISTS', rq.key(id)) == 1 end

-- Registries are scored in seconds; ours keep the milliseconds.
function rq.score(ms) return string.format('%.3f', ms / 1000) end

-- RQ's dates are text, and Redis' Lua has no calendar: days since 1970 to year, month, day (Howard Hinnant's way).
function rq.stamp(ms)
  local z = math.floor(ms / 86400000) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local rest = ms % 86400000
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', yoe + era * 400 + (month <= 2 and 1 or 0), month,
    doy - math.floor((153 * mp + 2) / 5) + 1, math.floor(rest / 3600000), math.floor(rest / 60000) % 60,
    math.floor(rest / 1000) % 60, (rest % 1000) * 1000)
end

local stamp_now
function rq.now()
  stamp_now = stamp_now or rq.stamp(NOW)
  return stamp_now
end

-- How long (ms) a finished job can still be seen, by its own removeOnComplete or removeOnFail; 0: not at all.
local function visible(keep)
  if keep == true or type(keep) == 'table' and keep.count == 0 then return 0 end
  return type(keep) == 'table' and keep.age and math.min(keep.age * 1000, RETENTION) or RETENTION
end

-- The whole record, made from the ledger's. Whatever stood there (an older generation's, a tampered one) is gone.
function rq.write(id, queue, gen, status)
  local rec = redis.call('HMGET', ledger.key(id), 'type', 'data', 'trace', 'created', 'options')
  local options = cjson.decode(rec[5])
  redis.call('DEL', rq.key(id))
  redis.call('HSET', rq.key(id),
    'data', '["' .. rq.FUNCTION .. '",null,[' .. cjson.encode(rec[1]) .. ',' .. rec[2] .. '],{}]',
    'meta', '{"generation":' .. gen .. ',"traceparent":' .. cjson.encode(rec[3]) .. '}',
    'status', status, 'origin', queue, 'description', rec[1],
    'created_at', rq.stamp(tonumber(rec[4])), 'enqueued_at', rq.now(),
    'timeout', options.timeout and math.ceil(options.timeout / 1000) + 60 or rq.UNLIMITED_S,
    'result_ttl', math.floor(visible(options.removeOnComplete) / 1000),
    'failure_ttl', math.floor(visible(options.removeOnFail) / 1000),
    'retries_left', rq.RETRIES, 'retry_intervals', '[1]')
end

function rq.kept(id, queue, option)
  local options = redis.call('HGET', ledger.key(id), 'options')
  if not options or not string.find(options, option, 1, true) then return RETENTION end
  local keep = cjson.decode(options)[option]
  if type(keep) == 'table' and keep.count and keep.count > 0 then rq.keep_newest(id, queue, option, keep.count) end
  return visible(keep)
end

local ENDED = { removeOnComplete = rq.finished, removeOnFail = rq.failed }

-- Those that ended so, of a tenant and queue, that were sent with a count.
local function counted(id, queue, option)
  return P .. ':rq:' .. option .. ':' .. ledger.own_name(redis.call('HGET', ledger.key(id), 'tenant') or '', queue)
end

-- A count hides only its tenant's jobs that were sent with one; and of these none that starts over, also by RQ's tools.
function rq.keep_newest(id, queue, option, count)
  local kept = counted(id, queue, option)
  redis.call('ZADD', kept, NOW, id)
  redis.call('PEXPIRE', kept, RETENTION)
  for _, old in ipairs(redis.call('ZRANGE', kept, 0, -count - 1)) do
    redis.call('ZREM', kept, old)
    if old == id or redis.call('ZSCORE', ENDED[option](queue), old) then rq.forget(old, queue) end
  end
end

-- A dead job starts over.
function rq.revive(id, queue)
  if redis.call('ZREM', rq.failed(queue), id) == 1 then redis.call('ZREM', counted(id, queue, 'removeOnFail'), id) end
end

function rq.forget(id, queue)
  redis.call('DEL', rq.key(id), rq.results(id))
  redis.call('ZREM', rq.finished(queue), id)
  redis.call('ZREM', rq.failed(queue), id)
end

-- Its end, as RQ writes it: status, registry, expiry and an entry in the job's own stream of results.
local function over(id, queue, status, registry, ttl, fields, result)
  if ttl <= 0 then return rq.forget(id, queue) end
  if redis.call('PEXPIRE', rq.key(id), ttl) == 0 then return end -- its owner deleted it
  redis.call('HSET', rq.key(id), 'status', status, 'ended_at', rq.now(), unpack(fields))
  redis.call('ZADD', registry, rq.score(NOW + ttl), id)
  if result then
    redis.call('XADD', rq.results(id), 'MAXLEN', 10, '*', unpack(result))
    redis.call('PEXPIRE', rq.results(id), ttl)
  end
end

-- `plain`: its options ask for no removal.
function rq.succeed(id, queue, result, plain)
  local ttl = plain and RETENTION or rq.kept(id, queue, 'removeOnComplete')
  over(id, queue, 'finished', rq.finished(queue), ttl, {}, result)
end

function rq.fail(id, queue, reason, result)
  over(id, queue, 'failed', rq.failed(queue), rq.kept(id, queue, 'removeOnFail'), { 'exc_info', reason }, result)
end

-- RQ scores cancelled jobs by when they were.
local function cancel(id, queue)
  redis.call('HSET', rq.key(id), 'status', 'canceled', 'ended_at', rq.now())
  redis.call('PEXPIRE', rq.key(id), RETENTION)
  redis.call('ZADD', rq.canceled(queue), rq.score(NOW), id)
end

-- A leg that rests dies without a start.
function rq.die(id, reason)
  ledger.leave_line(id, 'rq')
  ledger.finish(id, 'rq', 'dead', { error = reason })
  ledger.emit(id, 'rq', 'dead', { error = reason })
end

-- What RQ calls the states of a leg that still goes on.
local STATUS = { active = 'started', retrying = 'scheduled', delayed = 'scheduled', queued = 'queued',
                 pending = 'queued' }

-- RQ's record of a job shows what the ledger knows of it: a copy too many has been in somebody's hands.
function rq.settle(id, queue, leg)
  if not rq.exists(id) then return end
  local ended = leg.state == 'completed' and rq.finished(queue) or leg.state == 'dead' and rq.failed(queue)
  if ended and redis.call('ZSCORE', ended, id) then return end
  if leg.state == 'completed' then
    rq.succeed(id, queue)
  elseif leg.state == 'dead' then
    rq.fail(id, queue, leg.error or '')
  elseif leg.state == 'cancelled' or leg.state == 'cancelling' then
    cancel(id, queue)
  elseif leg.limited then
    rq.write(id, queue, leg.gen, 'scheduled')
    redis.call('PEXPIRE', rq.key(id), RETENTION) -- in no registry, so nothing else would ever remove it
  elseif STATUS[leg.state] then
    redis.call('HSET', rq.key(id), 'status', STATUS[leg.state])
  end
end
