-- The right to run a leg, and how each start ends: completed, retried, dead, handed back.

local SUSPECT = 2 -- starts without an outcome: one may befall anybody whose worker was killed

local function wait_until(leg)
  local due = tonumber(leg.due or 0)
  return due > NOW and due - NOW or false
end

-- May this envelope start? Answers the reason if not; busy, early, turn, paused and limited carry milliseconds to wait.
local function refusal(id, backend, leg, job, gen)
  if not leg.state then return { 'missing' } end
  -- A newer one was never issued, or is forgotten by a Redis that lost its last writes: it sends that leg again.
  if gen ~= tonumber(leg.gen) or TERMINAL[leg.state] or leg.state == 'cancelling' then return { 'stale', leg.state } end
  if leg.state == 'active' and tonumber(leg.lease) > NOW then return { 'busy', tonumber(leg.lease) - NOW } end
  local early = wait_until(leg)
  if early and leg.state ~= 'active' then return { 'early', early } end
  if not ledger.its_turn(id, backend, job.order) then return { 'turn', 1000 } end
  return ledger.held_up(id, backend, job, leg.limited)
end

local function claimed(backend, leg, job, token, starts)
  return { 'claimed', tostring(token), leg.attempt, starts, job.type, job.data, job.options, job.trace, job.created,
           job.round or '1', leg.due or '0', leg.redrives or '0', ledger.takes_place(backend, job.type) and 1 or 0,
           leg.redriven or '0' }
end

-- claim: id, backend, generation, worker, nonce, alone (1: it may kill its process) -> token, attempt, earlier starts without outcome, type, data, options, …
-- The nonce is the call's: a claim whose answer was lost is asked again with it, and gets the same answer.
function ops.claim(a)
  local id, backend, nonce = a[1], a[2], a[5]
  local leg = ledger.leg(id, backend, 'state', 'gen', 'attempt', 'starts', 'lease', 'due', 'started', 'redrives',
                         'nonce', 'token', 'limited', 'redriven')
  local job = ledger.job(id, 'type', 'data', 'options', 'trace', 'created', 'round', 'order', 'tenant')
  if leg.state == 'active' and leg.nonce == nonce then
    ledger.extend(id, backend, leg.token)
    return claimed(backend, leg, job, leg.token, leg.starts - 1)
  end
  local no = refusal(id, backend, leg, job, tonumber(a[3]))
  if no and no[1] == 'limited' then ledger.stand_in_line(id, backend, a[3] + 1, job, no[3], no[2]) end
  if no then return no end
  if tonumber(leg.starts) >= SUSPECT and a[6] ~= '1' then return { 'suspect', 500 } end
  if tonumber(leg.starts) > 0 then ledger.count(backend, 'crashed') end
  local token = redis.call('HINCRBY', ledger.key(id), 'fence', 1)
  local fields = { state = 'active', gen = a[3], token = token, lease = NOW + LEASE, worker = a[4], progress = 0,
                   step = '', starts = tonumber(leg.starts) + 1, nonce = nonce }
  if not leg.started then fields.started = NOW end
  ledger.set_leg(id, backend, fields)
  redis.call('ZREM', ledger.outbox(backend), id)
  if leg.limited then ledger.leave_line(id, backend) end
  ledger.emit(id, backend, 'started', { worker = a[4], attempt = leg.attempt + 1, starts = leg.starts + 1 })
  ledger.occupy(id, backend, job, fields.lease, token)
  return claimed(backend, leg, job, token, leg.starts)
end

-- extend: id, backend, token
function ledger.extend(id, backend, token)
  if not ledger.owns(id, backend, token) then return false end
  ledger.set_leg(id, backend, { lease = NOW + LEASE })
  ledger.occupy(id, backend, ledger.job(id, 'type'), NOW + LEASE)
  return true
end

-- crashed: id, backend, token, why, starts so far. The process that ran it died, and its keeper starts it anew.
function ops.crashed(a)
  if not ledger.owns(a[1], a[2], a[3]) then return { 0 } end
  local leg = ledger.leg(a[1], a[2], 'starts', 'worker', 'attempt')
  if leg.starts ~= a[5] then return { 1 } end -- counted before, and nobody was told
  ledger.set_leg(a[1], a[2], { starts = leg.starts + 1, lease = NOW + LEASE })
  ledger.count(a[2], 'crashed')
  ledger.emit(a[1], a[2], 'crashed', { error = a[4], worker = leg.worker, starts = tonumber(leg.starts) })
  return { 1 }
end

function ops.extend(a) return { ledger.extend(a[1], a[2], a[3]) and 1 or 0 } end

-- 'again': it was done, and whoever did it was not told.
function ledger.complete(id, backend, token, result)
  local leg = ledger.leg(id, backend, 'state', 'token', 'attempt', 'worker')
  if leg.token ~= token then return false end
  if leg.state ~= 'active' then return leg.state == 'completed' and 'again' end
  ledger.finish(id, backend, 'completed', { result = result, progress = 100, starts = 0, attempt = leg.attempt + 1 })
  ledger.emit(id, backend, 'completed', { worker = leg.worker, attempt = leg.attempt + 1 })
  return true
end

-- complete: id, backend, token, result. For brokers outside Redis.
function ops.complete(a)
  if not ledger.complete(a[1], a[2], a[3], a[4]) then return { 0 } end
  ledger.hide(a[1], a[2], 'completed')
  return { 1 }
end

-- Hand-over to a later attempt. Answers the new generation, or false if the lease is lost.
function ledger.retry(id, backend, token, failure, delay)
  if not ledger.owns(id, backend, token) then return false end
  local leg = ledger.leg(id, backend, 'gen', 'attempt', 'worker')
  local gen, due = leg.gen + 1, NOW + math.floor(tonumber(delay))
  ledger.set_leg(id, backend, { state = 'retrying', gen = gen, attempt = leg.attempt + 1, starts = 0, lease = 0,
                                due = due, error = failure })
  redis.call('ZADD', ledger.open(backend), 'XX', due, id)
  ledger.vacate(id, backend, get(id, 'type')[1])
  ledger.count(backend, 'retried')
  ledger.emit(id, backend, 'retrying', { attempt = leg.attempt + 1, error = failure, due = due, worker = leg.worker })
  return gen, due
end

-- retry: id, backend, token, error, delay (ms). For brokers outside Redis: an outbox row stands until it is sent.
function ops.retry(a)
  local gen, due = ledger.retry(a[1], a[2], a[3], a[4], a[5])
  if not gen then return { false } end
  redis.call('ZADD', ledger.outbox(a[2]), NOW + GRACE, a[1])
  return { gen, due }
end

-- killer: '1' where each of its starts killed whatever ran it.
function ledger.bury(id, backend, token, reason, killer)
  if not ledger.owns(id, backend, token) then return false end
  if killer == '1' then ledger.count(backend, 'killers') end
  local leg = ledger.leg(id, backend, 'attempt', 'worker')
  ledger.finish(id, backend, 'dead', { error = reason, attempt = leg.attempt + 1 })
  ledger.emit(id, backend, 'dead', { attempt = leg.attempt + 1, error = reason, worker = leg.worker })
  return true
end

-- bury: id, backend, token, reason, killer. For brokers outside Redis: the outbox row is the dead letter still to be sent.
function ops.bury(a)
  if not ledger.bury(a[1], a[2], a[3], a[4], a[5]) then return { 0 } end
  redis.call('ZADD', ledger.outbox(a[2]), NOW + GRACE, a[1])
  ledger.hide(a[1], a[2], 'dead')
  return { 1 }
end

-- A stopping worker gives the leg back: the next claim may come at once, and this start counts for nothing.
function ledger.release(id, backend, token)
  if not ledger.owns(id, backend, token) then return false end
  local leg = ledger.leg(id, backend, 'starts', 'worker')
  ledger.set_leg(id, backend, { state = 'queued', lease = 0, starts = leg.starts - 1 })
  ledger.vacate(id, backend, get(id, 'type')[1])
  ledger.emit(id, backend, 'released', { worker = leg.worker })
  return true
end

-- release: id, backend, token
function ops.release(a) return { ledger.release(a[1], a[2], a[3]) and 1 or 0 } end
