-- The ledger: one hash a job, changed here and nowhere else. Every operation is a compare-and-set.
-- ARGV: key prefix, name prefix, retention (ms), lease (ms), grace (ms), then op, n, n arguments, op, n, …
-- Operations get an array of strings and return an array; `false` stands for "nothing".

local P, NAMES, RETENTION, LEASE = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local GRACE = tonumber(ARGV[5]) -- a fresh outbox row is left alone this long: the direct publish is under way
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

-- What was taken over and has not begun is free again after two thirds of a lease (the first heartbeat comes after half
-- of one at most): should its new worker die too, the job does not lie for a whole lease once more.
local NOT_BEGUN = math.floor(LEASE * 2 / 3)
local EVENTS_KEPT = 10000   -- of the stream that everybody watches
local AUDIT_KEPT = 200      -- events kept of one job
local TERMINAL = { completed = true, dead = true, cancelled = true }

local ops = {}
local ledger = {}

function ledger.key(id) return P .. ':job:' .. id end
function ledger.outbox(backend) return P .. ':outbox:' .. backend end
function ledger.open(backend) return P .. ':open:' .. backend end -- legs without an outcome, by when they could start

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

-- Money that is owed for it, or a word about that: its record does not age until then.
local function owes(id)
  return redis.call('ZSCORE', P .. ':compensations', id) or redis.call('ZSCORE', P .. ':untold', id)
end

local function decoded(json) return json and cjson.decode(json) or nil end

-- A leg has ended. Once every one has: the record begins to age, and what was taken for an unconfirmed booking is given
-- back.
local function end_record(id, ended, job)
  for backend in string.gmatch(job.legs, '[^,]+') do
    if backend ~= ended and not TERMINAL[ledger.leg(id, backend, 'state').state] then return end
  end
  if job.tenant then ledger.not_outstanding(id, job.tenant) end
  if job.kind == 'booking' and not job.cancel then
    local fx = get(id, 'hold', 'fx.payment', 'fx.inventory')
    local sold = decoded(fx[3])
    if not (sold and sold.state == 'done') and (fx[1] or fx[2]) then return ledger.owe(id) end
  end
  if not owes(id) then ledger.expire(id) end
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
  if state == 'dead' then inter(id, backend) end
  ledger.count(backend, state)
  local job = ledger.job(id, 'type', 'order', 'legs', 'kind', 'cancel', 'tenant')
  if state ~= 'cancelled' then ledger.vacate(id, backend, job.type) end -- `call_off` did, where it could
  ledger.end_turn(id, backend, job.order)
  end_record(id, backend, job)
end

function ledger.cancelled(id)
  ledger.set(id, 'cancel', 'cancelled')
  for backend in string.gmatch(get(id, 'legs')[1], '[^,]+') do
    if ledger.leg(id, backend, 'state').state == 'cancelling' then ledger.finish(id, backend, 'cancelled', {}) end
  end
  if not owes(id) then ledger.expire(id) end
  ledger.emit(id, false, 'cancelled')
end

-- get: id -> the record, names and values in turn
function ops.get(a) return redis.call('HGETALL', ledger.key(a[1])) end
