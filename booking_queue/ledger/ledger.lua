-- The ledger: one hash a job, changed here and nowhere else. Every operation is a compare-and-set.
-- ARGV: key prefix, name prefix, retention (ms), lease (ms), then op, n, n arguments, op, n, …
-- Operations get an array of strings and return an array; `false` stands for "nothing".

local P, NAMES, RETENTION, LEASE = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

local GRACE = 2000          -- a fresh outbox row is left alone this long: the direct publish is under way
local EVENTS_KEPT = 10000   -- of the stream that everybody watches
local AUDIT_KEPT = 200      -- events kept of one job
local SUSPECT = 2           -- starts without an outcome: one may befall anybody whose worker was killed
local TERMINAL = { completed = true, dead = true, cancelled = true }

local ops = {}
local ledger = {}

function ledger.key(id) return P .. ':job:' .. id end
function ledger.outbox(backend) return P .. ':outbox:' .. backend end
function ledger.open(backend) return P .. ':open:' .. backend end -- legs without an outcome, by time of acceptance

local function get(id, ...)
  return redis.call('HMGET', ledger.key(id), ...)
end

function ledger.set(id, ...)
  redis.call('HSET', ledger.key(id), ...)
end

-- One event, in the job's own audit and in the stream that everybody watches, under the same id.
function ledger.emit(id, backend, event, detail)
  detail = detail or {}
  detail.jobId, detail.backend, detail.event, detail.at = id, backend or nil, event, NOW
  detail.tenant = get(id, 'tenant')[1] or nil
  local json = cjson.encode(detail)
  local at = redis.call('XADD', P .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', json)
  local audit = P .. ':audit:' .. id
  if redis.call('RPUSH', audit, at .. ' ' .. json) > AUDIT_KEPT then redis.call('LTRIM', audit, -AUDIT_KEPT, -1) end
end

function ledger.count(backend, what)
  redis.call('HINCRBY', P .. ':counters', backend .. '.' .. what, 1)
end

-- The asked fields of the record, by name.
function ledger.job(id, ...)
  local values, job = get(id, ...), {}
  for i, name in ipairs({ ... }) do job[name] = values[i] end
  return job
end

-- A leg as a table of the asked fields.
function ledger.leg(id, backend, ...)
  local asked, names, leg = { ... }, {}, {}
  for i, name in ipairs(asked) do names[i] = backend .. '.' .. name end
  local values = get(id, unpack(names))
  for i, name in ipairs(asked) do leg[name] = values[i] end
  return leg
end

function ledger.set_leg(id, backend, fields)
  local flat = {}
  for name, value in pairs(fields) do
    flat[#flat + 1] = backend .. '.' .. name
    flat[#flat + 1] = value
  end
  ledger.set(id, unpack(flat))
end

-- Does this token still own the leg? A lease that ended without a successor still counts: nobody else has begun.
function ledger.owns(id, backend, token)
  local leg = ledger.leg(id, backend, 'state', 'token')
  return leg.state == 'active' and leg.token == token
end

function ledger.expire(id)
  redis.call('PEXPIRE', ledger.key(id), RETENTION)
  redis.call('PEXPIRE', P .. ':audit:' .. id, RETENTION)
end

local function decoded(json) return json and cjson.decode(json) or nil end

-- A leg has ended. Once every one has: the record begins to age, and what was taken for an unconfirmed booking is given
-- back.
local function settle(id, ended, job)
  for backend in string.gmatch(job.legs, '[^,]+') do
    if backend ~= ended and not TERMINAL[ledger.leg(id, backend, 'state').state] then return end
  end
  if job.tenant then ledger.not_outstanding(id, job.tenant) end
  if job.kind == 'booking' and not job.cancel then
    local fx = get(id, 'hold', 'fx.payment', 'fx.inventory')
    local sold = decoded(fx[3])
    if not (sold and sold.state == 'done') and (fx[1] or fx[2]) then return ledger.owe(id) end
  end
  if not redis.call('ZSCORE', P .. ':compensations', id) then ledger.expire(id) end
end

-- Something is to be given back for it: the record stays until that is done.
function ledger.owe(id)
  redis.call('ZADD', P .. ':compensations', NOW, id)
  redis.call('PERSIST', ledger.key(id))
  redis.call('PERSIST', P .. ':audit:' .. id)
end

-- The dead letters: a backend's, and of these the tenant's own.
local function graves(id, backend)
  local all, tenant = 'dead:' .. backend, get(id, 'tenant')[1]
  return P .. ':index:' .. all, tenant and P .. ':index:tenant:' .. tenant .. ':' .. all
end

local function inter(id, backend)
  local all, own = graves(id, backend)
  redis.call('ZADD', all, NOW, id)
  if own then redis.call('ZADD', own, NOW, id) end
end

-- -> whether it was there
local function exhume(id, backend)
  local all, own = graves(id, backend)
  if own then redis.call('ZREM', own, id) end
  return redis.call('ZREM', all, id) == 1
end

function ledger.finish(id, backend, state, fields)
  fields.state, fields.finished, fields.lease = state, NOW, 0
  ledger.set_leg(id, backend, fields)
  redis.call('ZREM', ledger.open(backend), id)
  if state == 'dead' then
    inter(id, backend)
    if string.find(fields.error or '', 'kills workers', 1, true) == 1 then ledger.count(backend, 'killers') end
  end
  ledger.count(backend, state)
  local job = ledger.job(id, 'type', 'order', 'legs', 'kind', 'cancel', 'tenant')
  ledger.vacate(id, backend, job.type)
  ledger.end_turn(id, backend, job.order)
  settle(id, backend, job)
end

-- Nobody may run it any more, whoever does: the claim is gone. The broker's copy is dropped when it is read.
function ledger.call_off(id, backend)
  ledger.set_leg(id, backend, { state = 'cancelling', lease = 0 })
  redis.call('ZREM', ledger.outbox(backend), id)
  ledger.vacate(id, backend, get(id, 'type')[1])
end

function ledger.cancelled(id)
  ledger.set(id, 'cancel', 'cancelled')
  for backend in string.gmatch(get(id, 'legs')[1], '[^,]+') do
    if ledger.leg(id, backend, 'state').state == 'cancelling' then ledger.finish(id, backend, 'cancelled', {}) end
  end
  if not redis.call('ZSCORE', P .. ':compensations', id) then ledger.expire(id) end
  ledger.emit(id, false, 'cancelled')
end

-- accept: id, type, kind, data, options, trace, delay (ms), backends (comma separated), tenant, index keys…
function ops.accept(a)
  local id, delay, tenant = a[1], tonumber(a[7]), a[9]
  if redis.call('EXISTS', ledger.key(id)) == 1 then return { 'exists' } end
  local most = tenant ~= '' and ledger.too_many_outstanding(tenant)
  if most then return { 'tenant full', most } end
  for backend in string.gmatch(a[8], '[^,]+') do
    if not ledger.has_room(backend) then return { 'full', backend } end
  end
  local due = delay > 0 and NOW + delay or 0
  local fields = { 'type', a[2], 'kind', a[3], 'data', a[4], 'options', a[5], 'trace', a[6], 'legs', a[8],
                   'created', NOW, 'fence', 0 }
  local order = string.find(a[5], '"orderingKey"', 1, true) and cjson.decode(a[5]).orderingKey
  if order then
    order = ledger.own_name(tenant, order)
    fields[#fields + 1] = 'order'
    fields[#fields + 1] = order
  end
  if tenant ~= '' then
    fields[#fields + 1] = 'tenant'
    fields[#fields + 1] = tenant
    ledger.outstanding(id, tenant)
  end
  for backend in string.gmatch(a[8], '[^,]+') do
    for name, value in pairs({ state = 'pending', gen = 1, attempt = 0, starts = 0, due = due }) do
      fields[#fields + 1] = backend .. '.' .. name
      fields[#fields + 1] = value
    end
    redis.call('ZADD', ledger.outbox(backend), NOW + GRACE, id)
    redis.call('ZADD', ledger.open(backend), NOW, id)
    if order then ledger.line_up(id, backend, order) end
    ledger.count(backend, 'accepted')
  end
  ledger.set(id, unpack(fields))
  for i = 10, #a do
    redis.call('ZADD', P .. ':index:' .. a[i], NOW, id)
    redis.call('PEXPIRE', P .. ':index:' .. a[i], 2 * RETENTION)
  end
  ledger.emit(id, false, 'accepted', { type = a[2], backends = a[8] })
  return { 'accepted', tostring(NOW) }
end

-- What a publisher needs of a leg; `false` unless this generation is still to be sent.
function ledger.outgoing(id, backend, gen)
  local leg = ledger.leg(id, backend, 'state', 'gen', 'due', 'attempt', 'receipt', 'error')
  if not leg.state then return false, 'unknown' end
  if tonumber(gen) ~= tonumber(leg.gen) then return false, 'superseded', leg end
  local waits = redis.call('ZSCORE', ledger.outbox(backend), id)
  if not waits then return false, 'sent', leg end
  -- Out of turn it stays with us: read before its turn, it would stand in the way of the one whose turn it is.
  if (leg.state == 'pending' or leg.state == 'delayed') and not ledger.its_turn(id, backend, get(id, 'order')[1]) then
    redis.call('ZREM', ledger.outbox(backend), id)
    return false, 'waits', leg
  end
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

-- outbox_take: backend, limit. Due rows, each for this caller alone until its next turn (full jitter, at most 30 s).
function ops.outbox_take(a)
  local outbox, out = ledger.outbox(a[1]), {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', NOW, 'LIMIT', 0, tonumber(a[2]))) do
    local leg = ledger.leg(id, a[1], 'gen', 'tries')
    if leg.gen then
      local tries = tonumber(leg.tries or 0) + 1
      local wait = 2000 + math.random() * math.min(28000, 500 * 2 ^ math.min(tries, 10))
      redis.call('ZADD', outbox, NOW + math.floor(wait), id)
      ledger.set_leg(id, a[1], { tries = tries })
      out[#out + 1] = id
      out[#out + 1] = leg.gen
    else
      redis.call('ZREM', outbox, id)
    end
  end
  return out
end

-- outbox_wake: backend. It answers again: every waiting row is tried now, spread over two seconds.
function ops.outbox_wake(a)
  local outbox, n = ledger.outbox(a[1]), 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox, NOW + 2000, NOW + 31000, 'LIMIT', 0, 1000)) do
    if tonumber(ledger.leg(id, a[1], 'due').due or 0) <= NOW then
      redis.call('ZADD', outbox, 'XX', NOW + math.floor(math.random() * 2000), id)
      n = n + 1
    end
  end
  return { n }
end

-- republish: backend, age (ms), limit -> ids. For a lane found empty: what was published and neither runs nor ended
-- was lost by the broker, so it is sent again. A second copy does no harm: the claim folds it.
function ops.republish(a)
  local out = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ledger.open(a[1]), '-inf', NOW - tonumber(a[2]), 'LIMIT', 0, a[3])) do
    local leg = ledger.leg(id, a[1], 'state', 'lease', 'due')
    local rests = leg.state ~= 'cancelling' and (leg.state ~= 'active' or tonumber(leg.lease) + tonumber(a[2]) < NOW)
    if not leg.state then
      redis.call('ZREM', ledger.open(a[1]), id)
    elseif rests and tonumber(leg.due or 0) + tonumber(a[2]) < NOW then
      if redis.call('ZADD', ledger.outbox(a[1]), 'NX', NOW, id) == 1 then
        ledger.count(a[1], 'republished')
        out[#out + 1] = id
      end
    end
  end
  return out
end

-- resend: id, backend. Once more onto the broker, unless it runs, has ended, or waits for its time. A second copy does
-- no harm: the claim folds it. -> 1 if it will be
function ops.resend(a)
  local leg = ledger.leg(a[1], a[2], 'state', 'lease', 'due')
  local runs = leg.state == 'active' and tonumber(leg.lease) > NOW
  if not leg.state or TERMINAL[leg.state] or leg.state == 'cancelling' or runs then return { 0 } end
  if tonumber(leg.due or 0) > NOW then return { 0 } end
  return { redis.call('ZADD', ledger.outbox(a[2]), 'NX', NOW, a[1]) }
end

local function wait_until(leg)
  local due = tonumber(leg.due or 0)
  return due > NOW and due - NOW or false
end

-- May this envelope start? Answers the reason if not; busy, early, turn, paused and limited carry milliseconds to wait.
local function refusal(id, backend, leg, job, gen)
  if not leg.state then return { 'missing' } end
  if gen < tonumber(leg.gen) or TERMINAL[leg.state] or leg.state == 'cancelling' then return { 'stale', leg.state } end
  if leg.state == 'active' and tonumber(leg.lease) > NOW then return { 'busy', tonumber(leg.lease) - NOW } end
  local early = wait_until(leg)
  if early and leg.state ~= 'active' then return { 'early', early } end
  if not ledger.its_turn(id, backend, job.order) then return { 'turn', 1000 } end
  return ledger.held_up(backend, job)
end

local function claimed(leg, job, token, starts)
  return { 'claimed', tostring(token), leg.attempt, starts, job.type, job.data, job.options, job.trace, job.created,
           job.round or '1', leg.due or '0', leg.redrives or '0' }
end

-- claim: id, backend, generation, worker, nonce, alone (1: it may kill its process) -> token, attempt, earlier starts without outcome, type, data, options, …
-- The nonce is the call's: a claim whose answer was lost is asked again with it, and gets the same answer.
function ops.claim(a)
  local id, backend, nonce = a[1], a[2], a[5]
  local leg = ledger.leg(id, backend, 'state', 'gen', 'attempt', 'starts', 'lease', 'due', 'started', 'redrives',
                         'nonce', 'token')
  local job = ledger.job(id, 'type', 'data', 'options', 'trace', 'created', 'round', 'order', 'tenant')
  if leg.state == 'active' and leg.nonce == nonce then
    ledger.extend(id, backend, leg.token)
    return claimed(leg, job, leg.token, leg.starts - 1)
  end
  local no = refusal(id, backend, leg, job, tonumber(a[3]))
  if no then return no end
  if tonumber(leg.starts) >= SUSPECT and a[6] ~= '1' then return { 'suspect', 500 } end
  if tonumber(leg.starts) > 0 then ledger.count(backend, 'crashed') end
  local token = redis.call('HINCRBY', ledger.key(id), 'fence', 1)
  local fields = { state = 'active', gen = a[3], token = token, lease = NOW + LEASE, worker = a[4], progress = 0,
                   step = '', starts = tonumber(leg.starts) + 1, nonce = nonce }
  if not leg.started then fields.started = NOW end
  ledger.set_leg(id, backend, fields)
  redis.call('ZREM', ledger.outbox(backend), id)
  ledger.emit(id, backend, 'started', { worker = a[4], attempt = leg.attempt + 1, starts = leg.starts + 1 })
  ledger.occupy(id, backend, job, fields.lease, token)
  return claimed(leg, job, token, leg.starts)
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

function ledger.bury(id, backend, token, reason)
  if not ledger.owns(id, backend, token) then return false end
  local leg = ledger.leg(id, backend, 'attempt', 'worker')
  ledger.finish(id, backend, 'dead', { error = reason, attempt = leg.attempt + 1 })
  ledger.emit(id, backend, 'dead', { attempt = leg.attempt + 1, error = reason, worker = leg.worker })
  return true
end

-- bury: id, backend, token, reason. For brokers outside Redis: the outbox row is the dead letter still to be sent.
function ops.bury(a)
  if not ledger.bury(a[1], a[2], a[3], a[4]) then return { 0 } end
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

-- Why a dead leg cannot start over; nothing if it can.
local function stays_dead(id, backend)
  local state = ledger.leg(id, backend, 'state').state
  if state ~= 'dead' then return state or 'unknown' end
  local rec = get(id, 'cancel', 'kind')
  if rec[1] then return rec[1] end
  if rec[2] == 'letter' then return 'unreadable' end
  local owed = redis.call('ZSCORE', P .. ':compensations', id)
  if owed and redis.call('HEXISTS', ledger.key(id), 'fx.compensation') == 0 then return 'compensating' end
end

-- What was compensated is done anew: the provider's void of the last round stays true.
local function next_round(id)
  local key = ledger.key(id)
  redis.call('PERSIST', key)
  redis.call('PERSIST', P .. ':audit:' .. id)
  if redis.call('HDEL', key, 'fx.compensation') == 0 then return end
  redis.call('ZREM', P .. ':compensations', id) -- a mail that could not be sent yet is true no more
  redis.call('HDEL', key, 'fx.validate', 'fx.payment', 'fx.document', 'fx.mail', 'fx.inventory', 'compensation.tries')
  if redis.call('HINCRBY', key, 'round', 1) == 1 then redis.call('HSET', key, 'round', 2) end
end

local function start_over(id, backend)
  local key, leg, rec = ledger.key(id), ledger.leg(id, backend, 'gen'), get(id, 'order', 'tenant')
  local gen = (leg.gen or 0) + 1
  redis.call('HDEL', key, backend .. '.error', backend .. '.finished', backend .. '.started', backend .. '.enqueued')
  redis.call('HINCRBY', key, backend .. '.redrives', 1)
  ledger.set_leg(id, backend, { state = 'pending', gen = gen, attempt = 0, starts = 0, due = 0 })
  redis.call('ZADD', ledger.outbox(backend), NOW + GRACE, id)
  redis.call('ZADD', ledger.open(backend), NOW, id)
  exhume(id, backend)
  if rec[1] then ledger.line_up(id, backend, rec[1]) end
  if rec[2] then ledger.outstanding(id, rec[2]) end
  ledger.emit(id, backend, 'redriven', { generation = gen })
  return gen
end

-- A dead leg starts over, as a new generation.
function ledger.redrive(id, backend)
  local why = stays_dead(id, backend)
  if why then return false, why end
  next_round(id)
  return start_over(id, backend)
end

-- redrive: id, backend -> 'redriven', generation
function ops.redrive(a)
  local gen, why = ledger.redrive(a[1], a[2])
  if not gen then return { why } end
  return { 'redriven', gen }
end

-- Only what no leg has done, or is doing, may be edited.
local function editable(id)
  for backend in string.gmatch(get(id, 'legs')[1], '[^,]+') do
    if ledger.leg(id, backend, 'state').state ~= 'dead' then return false end
  end
  return true
end

local function edit(id, kind, data)
  ledger.emit(id, false, 'edited', { before = get(id, 'data')[1] })
  ledger.set(id, 'type', kind, 'kind', kind == 'booking' and 'booking' or 'job', 'data', data)
end

-- Another backend takes a dead leg's place; the leg stays as it ended.
local function move(id, from, to)
  local leg = ledger.leg(id, to, 'state')
  if leg.state and leg.state ~= 'dead' then return false, leg.state end
  if not leg.state then
    ledger.set(id, 'legs', get(id, 'legs')[1] .. ',' .. to)
    ledger.count(to, 'accepted')
  end
  exhume(id, from)
  ledger.emit(id, from, 'moved', { to = to })
  return start_over(id, to)
end

-- redrive_as: id, backend, to, type, data (JSON; '' for as it was) -> 'redriven', generation
function ops.redrive_as(a)
  local id, from, to, data = a[1], a[2], a[3], a[5]
  local why = stays_dead(id, from)
  if why and not (why == 'unreadable' and data ~= '') then return { why } end
  if data ~= '' then
    if not editable(id) then return { 'not to be edited' } end
    edit(id, a[4], data)
  end
  next_round(id)
  local gen
  if from == to then gen = start_over(id, from) else gen, why = move(id, from, to) end
  return gen and { 'redriven', gen } or { why }
end

-- discard: id, backend. A dead leg that nobody wants to see any more. -> 1, or its state
function ops.discard(a)
  local state = ledger.leg(a[1], a[2], 'state').state
  if state ~= 'dead' then return { state or 'unknown' } end
  if exhume(a[1], a[2]) then ledger.emit(a[1], a[2], 'discarded') end
  return { 'discarded' }
end

-- What came to a broker and can be no job is a dead letter of its own, under an id that its place gives it.
function ledger.letter(id, backend, kind, raw, reason)
  if redis.call('EXISTS', ledger.key(id)) == 1 then return end
  ledger.set(id, 'type', kind ~= '' and kind or 'unreadable', 'kind', 'letter', 'data', cjson.encode({ raw = raw }),
             'options', '{}', 'trace', '', 'legs', backend, 'created', NOW, 'fence', 0)
  ledger.set_leg(id, backend, { state = 'dead', gen = 1, attempt = 0, starts = 0, due = 0, finished = NOW,
                                error = reason })
  inter(id, backend)
  ledger.count(backend, 'dead')
  ledger.emit(id, backend, 'dead', { error = reason })
  ledger.expire(id)
end

-- letter: id, backend, type, raw (text), reason
function ops.letter(a)
  ledger.letter(a[1], a[2], a[3], a[4], a[5])
  return { 1 }
end

-- adopt: id, backend, type, kind, data, options. A job that came onto the broker without us gets its record.
function ops.adopt(a)
  local id, backend = a[1], a[2]
  if redis.call('EXISTS', ledger.key(id)) == 1 then return { 'exists' } end
  ledger.set(id, 'type', a[3], 'kind', a[4], 'data', a[5], 'options', a[6], 'trace', '', 'legs', backend,
             'created', NOW, 'fence', 0)
  ledger.set_leg(id, backend, { state = 'queued', gen = 1, attempt = 0, starts = 0, due = 0, enqueued = NOW })
  redis.call('ZADD', ledger.open(backend), NOW, id)
  ledger.count(backend, 'accepted')
  ledger.emit(id, backend, 'adopted', { type = a[3] })
  return { 'adopted' }
end

-- get: id -> the record, names and values in turn
function ops.get(a) return redis.call('HGETALL', ledger.key(a[1])) end
