-- From the ledger to the brokers: what is to be sent, what was, and what must be sent again.

-- What a publisher needs of a leg; `false` unless this generation is still to be sent.
function ledger.outgoing(id, backend, gen)
  local leg = ledger.leg(id, backend, 'state', 'gen', 'due', 'attempt', 'receipt', 'error', 'type', 'data')
  if not leg.state then return false, 'unknown' end
  if tonumber(gen) ~= tonumber(leg.gen) then return false, 'superseded', leg end
  local waits = redis.call('ZSCORE', ledger.outbox(backend), id)
  -- Out of turn it stays with us: read before its turn, it would stand in the way of the one whose turn it is.
  if leg.state == 'pending' or leg.state == 'delayed' then
    local turn, from = ledger.its_turn(id, backend, get(id, 'order')[1])
    if not turn then
      if from then redis.call('ZADD', ledger.outbox(backend), 'XX', from, id) end
      if not from then redis.call('ZREM', ledger.outbox(backend), id) end
      return false, 'waits', leg
    end
  end
  if not waits then return false, 'sent', leg end
  return leg
end

-- outgoing: id, backend, generation -> what to send, or why there is nothing to send
function ops.outgoing(a)
  local leg, why, known = ledger.outgoing(a[1], a[2], a[3])
  if not leg then return { why, known and known.state or false, known and known.receipt or false } end
  local rec = get(a[1], 'type', 'data', 'options', 'trace', 'order')
  return { 'send', leg.state, leg.due or '0', leg.attempt, leg.error or false, leg.type or rec[1],
           leg.data or rec[2], rec[3], rec[4], tostring(NOW), rec[5] }
end

-- The broker has it: the row goes, the receipt stays.
function ledger.published(id, backend, state, receipt)
  redis.call('ZREM', ledger.outbox(backend), id)
  local fields = { tries = 0 }
  if receipt ~= '' then fields.receipt = receipt end
  local known = ledger.leg(id, backend, 'state', 'enqueued')
  if known.state == 'pending' or known.state == 'delayed' then fields.state = state end
  if not known.enqueued then fields.enqueued = NOW end
  ledger.set_leg(id, backend, fields)
  if fields.state then ledger.emit(id, backend, state, { receipt = fields.receipt and decoded(receipt) }) end
end

-- published: id, backend, generation, state (queued, delayed or retrying), receipt ('' keeps the one there is: neither a
-- retry nor a dead letter is a new place)
function ops.published(a)
  local id, backend, receipt = a[1], a[2], a[5]
  local leg = ledger.leg(id, backend, 'gen', 'state', 'receipt', 'enqueued', 'started')
  if leg.gen ~= a[3] then
    if leg.gen and receipt ~= '' and not leg.receipt then ledger.set_leg(id, backend, { receipt = receipt }) end
    return { 'superseded' }
  end
  -- A worker was faster than this word. It may even have buried the job: the row is then the dead letter's.
  local overtaken = leg.state == 'dead' and (receipt ~= '' or a[4] == 'retrying')
  if overtaken or not redis.call('ZSCORE', ledger.outbox(backend), id) then
    local fields = { enqueued = leg.enqueued or leg.started or NOW }
    if receipt ~= '' then fields.receipt = receipt end
    ledger.set_leg(id, backend, fields)
    return { 'sent' }
  end
  ledger.published(id, backend, a[4], receipt)
  return { 'published' }
end

-- postpone: id, backend, generation. A delayed job whose broker cannot delay waits in the outbox until it is due.
function ops.postpone(a)
  local leg = ledger.leg(a[1], a[2], 'gen', 'due', 'state')
  if leg.gen ~= a[3] then return { 'superseded' } end
  redis.call('ZADD', ledger.outbox(a[2]), 'XX', leg.due, a[1])
  if leg.state == 'pending' then
    ledger.set_leg(a[1], a[2], { state = 'delayed', enqueued = NOW })
    ledger.emit(a[1], a[2], 'delayed', { due = tonumber(leg.due) })
  end
  return { 'postponed', leg.due }
end

-- Has neither run, nor waited for its time, its turn or a limit, for longer than `age` (ms). `busy`: its broker holds
-- others, and may hold this one: once it was sent again, that is so only after twice the time.
local function lost(id, backend, leg, age, busy)
  if leg.limited or leg.state == 'cancelling' then return false end
  local since = math.max(tonumber(leg.due or 0), tonumber(leg.enqueued or 0))
  if leg.state == 'active' then since = math.max(since, tonumber(leg.lease)) end
  local last = math.max(since, tonumber(leg.resent or 0))
  if last + math.max(age, busy and last - since or age) >= NOW then return false end
  return ledger.its_turn(id, backend, get(id, 'order')[1])
end

-- republish: backend, age (ms), offset, limit, most -> next offset (-1 at the end), ids. What its broker seems to have lost
-- is sent again: of a lane found empty all of it (most: 0), else so many. A second copy does no harm: the claim folds it.
function ops.republish(a)
  local backend, age, offset, limit, most = a[1], tonumber(a[2]), tonumber(a[3]), tonumber(a[4]), tonumber(a[5])
  local busy, seen, gone, out = most > 0, 0, 0, {}
  if busy and ledger.paused(backend) then return { -1, out } end
  local open = redis.call('ZRANGEBYSCORE', ledger.open(backend), '-inf', NOW - age, 'LIMIT', offset, limit)
  while seen < #open and (not busy or #out < most) do
    seen = seen + 1
    local id = open[seen]
    local leg = ledger.leg(id, backend, 'state', 'lease', 'due', 'enqueued', 'resent', 'limited')
    if not leg.state then
      gone = gone + redis.call('ZREM', ledger.open(backend), id)
    elseif lost(id, backend, leg, age, busy) and redis.call('ZADD', ledger.outbox(backend), 'NX', NOW, id) == 1 then
      ledger.set_leg(id, backend, { resent = NOW })
      ledger.count(backend, 'republished')
      if not busy then ledger.count(backend, 'lost') end -- of a lane with work in it that cannot be told
      out[#out + 1] = id
    end
  end
  return { seen < limit and seen == #open and -1 or offset + seen - gone, out }
end

-- resend: id, backend. Once more onto the broker, unless it runs, has ended, or waits for its time or a limit. A second
-- copy does no harm: the claim folds it. -> 1 if it will be
function ops.resend(a)
  local leg = ledger.leg(a[1], a[2], 'state', 'lease', 'due', 'limited')
  local runs = leg.state == 'active' and tonumber(leg.lease) > NOW
  if not leg.state or TERMINAL[leg.state] or leg.state == 'cancelling' or runs then return { 0 } end
  if leg.limited or tonumber(leg.due or 0) > NOW then return { 0 } end
  return { redis.call('ZADD', ledger.outbox(a[2]), 'NX', NOW, a[1]) }
end
