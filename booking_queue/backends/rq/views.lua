-- Looking. Nothing here writes, and no cost grows with the number of jobs.

-- rq_stats: -> of each level: waiting, active, completed, failed, delayed, of these not due yet, when the next in line was
-- enqueued; then workers, and Redis' time (ms)
function ops.rq_stats()
  local out = {}
  for _, queue in ipairs(rq.QUEUES) do
    local live = '(' .. rq.score(NOW) -- what has expired is gone, swept or not
    local head = redis.call('LINDEX', rq.list(queue), 0)
    out[#out + 1] = {
      redis.call('LLEN', rq.list(queue)), redis.call('ZCARD', rq.started(queue)),
      redis.call('ZCOUNT', rq.finished(queue), live, '+inf'), redis.call('ZCOUNT', rq.failed(queue), live, '+inf'),
      redis.call('ZCARD', rq.scheduled(queue)), redis.call('ZCOUNT', rq.scheduled(queue), live, '+inf'),
      head and redis.call('HGET', rq.key(head), 'enqueued_at') or '',
    }
  end
  out[#out + 1] = redis.call('SCARD', 'rq:workers:' .. rq.QUEUES[3])
  out[#out + 1] = tostring(NOW)
  return out
end

local REGISTRY = { active = rq.started, completed = rq.finished, failed = rq.failed, delayed = rq.scheduled }

-- Ids of one level in a state, from start to last of it: waiting in line, active and delayed soonest first, finished
-- ones newest first.
local function ids(queue, state, start, last)
  if state == 'waiting' then return redis.call('LRANGE', rq.list(queue), start, last) end
  local newest = state == 'completed' or state == 'failed'
  return redis.call(newest and 'ZREVRANGE' or 'ZRANGE', REGISTRY[state](queue), start, last)
end

local function size(queue, state)
  if state == 'waiting' then return redis.call('LLEN', rq.list(queue)) end
  return redis.call('ZCARD', REGISTRY[state](queue))
end

local LISTED_BYTES = 2048 -- of a field; of a larger one a list shows the beginning
local LISTED = { 'data', 'description', 'origin', 'created_at', 'ended_at', 'worker_name', 'exc_info' }

-- A list has to fit into memory: these fields of a record, each cut, and `bytes`, how large its data is, where that was.
local function brief(id)
  local found, flat = redis.pcall('HMGET', rq.key(id), unpack(LISTED)), {}
  if found.err then return flat end
  for i, name in ipairs(LISTED) do
    if found[i] then
      flat[#flat + 1] = name
      flat[#flat + 1] = string.sub(found[i], 1, LISTED_BYTES)
    end
  end
  if found[1] and #found[1] > LISTED_BYTES then
    flat[#flat + 1] = 'bytes'
    flat[#flat + 1] = tostring(#found[1])
  end
  return flat
end

local function seen(member)
  local id = string.match(member, '^[^:]*')
  local leg = ledger.leg(id, 'rq', 'progress', 'attempt', 'error', 'due', 'result')
  return { id, brief(id), leg.progress or '0', leg.attempt or '0', leg.error or '', leg.due or '0', leg.result or '' }
end

-- rq_jobs: state, start, end (inclusive) -> jobs, the levels one after the other: id, RQ's record in brief, progress,
-- attempts, error, due, result
function ops.rq_jobs(a)
  local state, skip, left, out = a[1], tonumber(a[2]), tonumber(a[3]) - tonumber(a[2]) + 1, {}
  for _, queue in ipairs(rq.QUEUES) do
    if left <= 0 then break end
    local found = ids(queue, state, skip, skip + left - 1)
    for _, member in ipairs(found) do out[#out + 1] = seen(member) end
    left = left - #found
    skip = math.max(0, skip - size(queue, state))
  end
  return out
end

-- rq_dead: count -> dead letters, newest first: id, RQ's record in brief, the ledger's reason
function ops.rq_dead(a)
  local letters = {}
  for _, queue in ipairs(rq.QUEUES) do
    local found = redis.call('ZREVRANGE', rq.failed(queue), 0, tonumber(a[1]) - 1, 'WITHSCORES')
    for i = 1, #found, 2 do letters[#letters + 1] = { found[i + 1], found[i] } end
  end
  table.sort(letters, function(x, y) return tonumber(x[1]) > tonumber(y[1]) end)
  local out = {}
  for i = 1, math.min(#letters, tonumber(a[1])) do
    local id = letters[i][2]
    out[i] = { id, brief(id), ledger.leg(id, 'rq', 'error').error or '' }
  end
  return out
end

-- rq_lookup: id -> RQ's record, names and values in turn
function ops.rq_lookup(a)
  local job = redis.pcall('HGETALL', rq.key(a[1]))
  return job.err and {} or job
end
