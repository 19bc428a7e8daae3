-- From the queues into the started registries.

rq.FAIR_EVERY = 20   -- starts: every so many a lower level goes first, so that none starves
rq.MAX_SKIPPED = 100 -- ids without a job, in one go

-- Which queues to look into for this start, first to last. The lower levels take turns at going first.
local function order(start)
  if start % rq.FAIR_EVERY ~= 0 then return { 1, 2, 3, 4 } end
  local turn = math.floor(start / rq.FAIR_EVERY) % 3
  if turn == 1 then return { 4, 3, 2, 1 } end
  if turn == 2 then return { 3, 4, 2, 1 } end
  return { 2, 4, 3, 1 }
end

local function pop(start, empty)
  for _, level in ipairs(order(start)) do
    if not empty[level] then
      local id = redis.call('LPOP', rq.list(rq.QUEUES[level]))
      if id then return id, rq.QUEUES[level] end
      empty[level] = true
    end
  end
end

-- RQ's own `requeue` (or a dashboard's) took a dead job out of the failed registry: that is a redrive.
local function requeued(id, queue, state)
  if state ~= 'dead' or redis.call('ZSCORE', rq.failed(queue), id) then return false end
  local gen = ledger.redrive(id, 'rq')
  if gen then rq.publish(id, gen) end
  return gen
end

local serial = 0
local function start(id, queue, worker, leg)
  serial = serial + 1
  local execution = string.sub(redis.sha1hex(id .. worker .. time[1] .. '.' .. time[2] .. '.' .. serial), 1, 32)
  local member = id .. ':' .. execution
  -- Those of one script differ by microseconds, so that they go back in their order should it come to that.
  local ends = NOW + (leg.state == 'active' and NOT_BEGUN or LEASE)
  redis.call('ZADD', rq.started(queue), string.format('%.6f', ends / 1000 + serial * 1e-6), member)
  redis.call('HSET', rq.key(id), 'status', 'started') -- or it is not given back should this worker die
  if leg.state ~= 'active' or tonumber(leg.lease) <= NOW then -- a second copy has nothing more to say
    redis.call('HSET', rq.key(id), 'started_at', rq.now(), 'last_heartbeat', rq.now(), 'worker_name', worker)
  end
  return execution
end

local function row(id, queue, execution, job, leg)
  return { id, queue, execution, leg.state and 1 or 0, job[1], job[2] or '', leg.attempt or '0', leg.due or '0',
           job[3] or '', job[4] or '' }
end

local function seen(id)
  return redis.pcall('HMGET', rq.key(id), 'data', 'meta', 'retries_left', 'timeout'),
    ledger.leg(id, 'rq', 'state', 'attempt', 'due', 'lease', 'error')
end

local function hand_out(id, queue, worker)
  if not string.find(id, '^[%w_-]+$') then return end
  local job, leg = seen(id)
  if not job[1] then return end -- none, or something that is no record
  if requeued(id, queue, leg.state) then return false end
  if TERMINAL[leg.state] or leg.state == 'cancelling' then return rq.settle(id, queue, leg) end
  if not leg.state then redis.call('PERSIST', rq.key(id)) end -- a stranger may have given it a TTL
  return row(id, queue, start(id, queue, worker, leg), job, leg)
end

-- What a worker took last, so that it can be told again should the answer be lost. The nonce is the taking's.
local function taken_key(worker) return P .. ':rq:taken:' .. worker end

local function note_taken(worker, nonce, out)
  local jobs = {}
  for i, job in ipairs(out) do jobs[i] = { job[1], job[2], job[3] } end
  redis.call('SET', taken_key(worker), cjson.encode({ nonce = nonce, jobs = jobs }), 'PX', LEASE)
end

local function taken_before(worker, nonce)
  local json = redis.call('GET', taken_key(worker))
  local last = json and cjson.decode(json)
  if not last or last.nonce ~= nonce then return nil end
  local out = {}
  for _, job in ipairs(last.jobs) do
    local id, queue, execution = unpack(job)
    local record, leg = seen(id)
    if record[1] and redis.call('ZSCORE', rq.started(queue), id .. ':' .. execution) then
      out[#out + 1] = row(id, queue, execution, record, leg)
    end
  end
  return out
end

-- rq_take: worker, how many, starts so far, nonce -> jobs: id, queue, execution, known to the ledger?, data, meta, attempt,
-- due, and RQ's own retries left and timeout; or 'suspended' (`rq suspend`)
function ops.rq_take(a)
  if redis.call('EXISTS', 'rq:suspended') == 1 then return { 'suspended' } end
  local worker, wanted, starts = NAMES .. a[1], tonumber(a[2]), tonumber(a[3])
  local again = a[4] and taken_before(worker, a[4])
  if again then return again end
  local out, empty, skipped = {}, {}, 0
  while #out < wanted and skipped < rq.MAX_SKIPPED do
    local id, queue = pop(starts + #out + 1, empty)
    if not id then break end
    local job = hand_out(id, queue, worker)
    if job then out[#out + 1] = job else skipped = skipped + 1 end
    if job == false then empty = {} end
  end
  if a[4] and #out > 0 then note_taken(worker, a[4], out) end
  return out
end
