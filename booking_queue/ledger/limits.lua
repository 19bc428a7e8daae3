-- Limits over all workers: how many run at a time, how many start in a time, whether a backend is paused, and how many
-- may be outstanding. A job that is held up by one waits and uses up no attempt.
-- Scopes: a backend's name, `type:` and a type, `key:` and the key of a job's own rateLimit, `tenant:` and a tenant,
-- `tenant` for every one that has none of its own.

local LOOK_AGAIN = 100 -- ms: when one of those that run will end, nobody knows

local settings -- of this script: scope.name -> value
local function limit(scope, name)
  if not settings then
    settings = {}
    for _, key in ipairs({ ':limits:default', ':limits' }) do
      local flat = redis.call('HGETALL', P .. key)
      for i = 1, #flat, 2 do settings[flat[i]] = flat[i + 1] end
    end
  end
  local value = settings[scope .. '.' .. name]
  return value and value ~= '' and tonumber(value) or nil
end

local function running(scope) return P .. ':running:' .. scope end
local function starts(scope) return P .. ':starts:' .. scope end
local function expected(scope) return P .. ':expected:' .. scope end -- who was let in and has not started yet
local LINES = P .. ':limited' -- limits that hold somebody up, by when to look at each next
local function line(scope, backend) return LINES .. ':' .. backend .. ':' .. scope end

function ledger.paused(backend) return limit(backend, 'paused') == 1 end

-- May one more be accepted here?
function ledger.has_room(backend)
  local most = limit(backend, 'outstanding')
  return not most or redis.call('ZCARD', ledger.open(backend)) < most
end

-- Names that tenants choose meet only their own: no name has a line break in it.
function ledger.own_name(tenant, name) return tenant == '' and name or tenant .. '\n' .. name end

-- A tenant's jobs that have not ended, by time of acceptance.
local function of_tenant(tenant) return P .. ':outstanding:' .. tenant end

function ledger.outstanding(id, tenant) redis.call('ZADD', of_tenant(tenant), NOW, id) end
function ledger.not_outstanding(id, tenant) redis.call('ZREM', of_tenant(tenant), id) end

-- How many the tenant may have, if one more would be too many. Those whose record was taken away will never end.
function ledger.too_many_outstanding(tenant)
  local most = limit('tenant:' .. tenant, 'outstanding') or limit('tenant', 'outstanding')
  if not most or redis.call('ZCARD', of_tenant(tenant)) < most then return nil end
  for _, id in ipairs(redis.call('ZRANGE', of_tenant(tenant), 0, 99)) do
    if redis.call('EXISTS', ledger.key(id)) == 0 then ledger.not_outstanding(id, tenant) end
  end
  return redis.call('ZCARD', of_tenant(tenant)) >= most and most or nil
end

-- Places that are kept for others, who were let in.
local function kept(scope, member)
  redis.call('ZREMRANGEBYSCORE', expected(scope), '-inf', NOW)
  return redis.call('ZCARD', expected(scope)) - (redis.call('ZSCORE', expected(scope), member) and 1 or 0)
end

local function too_many_run(scope, member)
  local most = limit(scope, 'concurrency')
  if not most then return nil end
  redis.call('ZREMRANGEBYSCORE', running(scope), '-inf', NOW)
  return redis.call('ZCARD', running(scope)) + kept(scope, member) >= most and LOOK_AGAIN or nil
end

-- ms until one more may start: exact over any window, at the price of one entry a start in it.
local function too_soon(scope, most, window, member)
  if not most or not window then return nil end
  local log = starts(scope)
  redis.call('ZREMRANGEBYSCORE', log, '-inf', NOW - window)
  if redis.call('ZCARD', log) + kept(scope, member) < most then return nil end
  local first = redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')[2]
  return first and math.max(1, tonumber(first) + window - NOW) or LOOK_AGAIN
end

-- There is room, and it belongs to those who have waited in line: to let a newcomer have it would starve them.
local function behind(scope, backend, member, limited)
  if redis.call('ZCARD', line(scope, backend)) <= (limited == scope and 1 or 0) then return nil end
  return not redis.call('ZSCORE', expected(scope), member) and LOOK_AGAIN or nil
end

local function note_start(scope, member, window)
  redis.call('ZADD', starts(scope), NOW, member)
  redis.call('PEXPIRE', starts(scope), window)
  redis.call('ZADD', LINES, 'XX', 'LT', NOW + window, scope) -- when its place is the next one's
end

local function own_rate(job)
  if not string.find(job.options, '"rateLimit"', 1, true) then return nil end
  local own = cjson.decode(job.options).rateLimit
  -- With its window: what another job of the key asks for neither shortens nor ends this log.
  own.key = ledger.own_name(job.tenant or '', own.key) .. ':' .. own.durationMs
  return own
end

-- Why a leg of this job may not start now: 'paused' or 'limited', ms to wait, and the limit; nothing if it may.
-- `limited`: in whose line it stands, if it does.
function ledger.held_up(id, backend, job, limited)
  if ledger.paused(backend) then return { 'paused', 1000 } end
  local member = backend .. ':' .. id
  for _, scope in ipairs({ backend, 'type:' .. job.type }) do
    local rate, window = limit(scope, 'rate'), limit(scope, 'window')
    local wait = too_many_run(scope, member) or too_soon(scope, rate, window, member)
    if not wait and (rate or limit(scope, 'concurrency')) then wait = behind(scope, backend, member, limited) end
    if wait then return { 'limited', wait, scope } end
  end
  local own = own_rate(job)
  if not own then return nil end
  local scope = 'key:' .. own.key
  local wait = too_soon(scope, own.max, own.durationMs, member) or behind(scope, backend, member, limited)
  return wait and { 'limited', wait, scope } or nil
end

-- Does a limit tell how many of it run at a time?
function ledger.takes_place(backend, kind)
  return limit(backend, 'concurrency') or limit('type:' .. kind, 'concurrency')
end

-- It starts, or goes on: `until_` is the end of its lease.
function ledger.occupy(id, backend, job, until_, fresh)
  local member = backend .. ':' .. id
  for _, scope in ipairs({ backend, 'type:' .. job.type }) do
    local most, window = limit(scope, 'concurrency'), fresh and limit(scope, 'rate') and limit(scope, 'window')
    if most then
      redis.call('ZADD', running(scope), until_, member)
      redis.call('PEXPIRE', running(scope), 2 * LEASE)
    end
    if window then note_start(scope, member .. ':' .. fresh, window) end
    if fresh and (most or window) then redis.call('ZREM', expected(scope), member) end
  end
  local own = fresh and own_rate(job)
  if own then
    note_start('key:' .. own.key, member .. ':' .. fresh, own.durationMs)
    redis.call('ZREM', expected('key:' .. own.key), member)
  end
end

function ledger.vacate(id, backend, kind)
  for _, scope in ipairs({ backend, 'type:' .. kind }) do
    if limit(scope, 'concurrency') then
      redis.call('ZREM', running(scope), backend .. ':' .. id)
      redis.call('ZREM', expected(scope), backend .. ':' .. id)
      ledger.let_in(scope)
    end
  end
end

-- limits_get -> defaults and what was put over them: names and values in turn, of each
function ops.limits_get()
  return { redis.call('HGETALL', P .. ':limits:default'), redis.call('HGETALL', P .. ':limits') }
end

-- limits_put: name, value ('' takes it back to the default), name, value, …
function ops.limits_put(a)
  for i = 1, #a, 2 do
    if a[i + 1] == '' then
      redis.call('HDEL', P .. ':limits', a[i])
    else
      redis.call('HSET', P .. ':limits', a[i], a[i + 1])
    end
    ledger.look_soon(string.match(a[i], '^(.*)%.'))
  end
  settings = nil
  return { 1 }
end

-- limits_default: name, value, … What the installation's settings say, in place of what they said before.
function ops.limits_default(a)
  redis.call('DEL', P .. ':limits:default')
  if #a > 0 then redis.call('HSET', P .. ':limits:default', unpack(a)) end
  settings = nil
  return { 1 }
end
