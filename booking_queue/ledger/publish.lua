-- From the ledger to the brokers: what is to be sent, what was, and what must be sent again.

-- What a publisher needs of a leg; `false` unless this generation is still to be sent.
function ledger.outgoing(id, backend, gen)
  local leg = ledger.leg(id, backend, 'state', 'gen', 'due', 'attempt', 'receipt', 'error')
  if not leg.state then return false, 'unknown' end
  if tonumber(gen) ~= tonumber(leg.gen) then return false, 'superseded', leg end
  local waits = redis.call('ZSCORE', ledger.outbox(backend), id)
  -- Out of turn it stays with us: read before its turn, it would stand in the way of the one whose turn it is.
  if (leg.state == 'pending' or leg.state == 'delayed') and not ledger.its_turn(id, backend, get(id, 'order')[1]) then
    redis.call('ZREM', ledger.outbox(backend), id)
    return false, 'waits', leg
  end
  if not waits then return false, 'sent', leg end
  return leg
end

-- outgoing: id, backend, generation -> what to send, or why there is nothing to send
function ops.outgoing(a)
  local leg, why, known = ledger.outgoing(a[1], a[2], a[3])
  if not leg then return { why, known and known.state or false, known and known.receipt or false } end
  local rec = get(a[1], 'type', 'data', 'options', 'trace', 'created')
  return { 'send', leg.state, leg.due or '0', leg.attempt, leg.error or false, rec[1], rec[2], rec[3], rec[4], rec[5],
           tostring(NOW) }
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

-- Neither runs nor waits for its time, its turn or a limit.
local function lost(id, backend, leg, age)
  if leg.limited or leg.state == 'cancelling' or tonumber(leg.due or 0) + age >= NOW then return false end
  if leg.state == 'active' and tonumber(leg.lease) + age >= NOW then return false end
  return ledger.its_turn(id, backend, get(id, 'order')[1])
end

-- republish: backend, age (ms), offset, limit -> next offset (-1 at the end), ids. For a lane found empty: legs that it
-- was given are lost, and sent again. A second copy does no harm: the claim folds it.
function ops.republish(a)
  local backend, age, offset, limit, gone, out = a[1], tonumber(a[2]), tonumber(a[3]), tonumber(a[4]), 0, {}
  local open = redis.call('ZRANGEBYSCORE', ledger.open(backend), '-inf', NOW - age, 'LIMIT', offset, limit)
  for _, id in ipairs(open) do
    local leg = ledger.leg(id, backend, 'state', 'lease', 'due', 'limited')
    if not leg.state then
      gone = gone + redis.call('ZREM', ledger.open(backend), id)
    elseif lost(id, backend, leg, age) and redis.call('ZADD', ledger.outbox(backend), 'NX', NOW, id) == 1 then
      ledger.count(backend, 'republished')
      out[#out + 1] = id
    end
  end
  return { #open < limit and -1 or offset + #open - gone, out }
end

-- resend: id, backend. Once more onto the broker, unless it runs, has ended, or waits for its time or a limit. A second copy does
-- no harm: the claim folds it. -> 1 if it will be
function ops.resend(a)
  local leg = ledger.leg(a[1], a[2], 'state', 'lease', 'due', 'limited')
  local runs = leg.state == 'active' and tonumber(leg.lease) > NOW
  if not leg.state or TERMINAL[leg.state] or leg.state == 'cancelling' or runs then return { 0 } end
  if leg.limited or tonumber(leg.due or 0) > NOW then return { 0 } end
  return { redis.call('ZADD', ledger.outbox(a[2]), 'NX', NOW, a[1]) }
end
