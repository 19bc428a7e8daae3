-- Jobs that a limit holds up. None stays in a worker's hands, where it would stand in the way of others, nor does anybody
-- ask again and again for it: it stands in its limit's line, off its broker, and is given to that once it may start.
-- Who leaves a place lets the next in; when one will be free by itself is noted. So a line of any length costs its
-- memory. A limit has a line a backend, which take turns: one that is away must not stand before the others.

local BACKENDS = { 'rq', 'redisStreams', 'kafka' }
local AGEING = 300000 -- ms: a level up is worth so much of age. So the urgent go first, and nobody starves
local COMING = 2000   -- ms: for so long a place is kept for whom it was given to
local LOOK = 5000     -- ms: where a setting may change meanwhile
local AT_ONCE = 50    -- let in by one look: bounds how long it holds Redis
local LEVELS = { critical = 0, high = 1, low = 3 }

local function is_own(scope) return string.find(scope, 'key:', 1, true) == 1 end

-- Of a log, what has not expired: how many, and the first of them (ms).
local function alive(log, expired)
  redis.call('ZREMRANGEBYSCORE', log, '-inf', expired)
  local first = redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')[2]
  return redis.call('ZCARD', log), tonumber(first or math.huge)
end

-- How many more may start under a limit, and when that changes by itself. Of jobs' own rates the first in line's counts.
local function room(scope, first)
  local most, rate, window = limit(scope, 'concurrency'), limit(scope, 'rate'), limit(scope, 'window')
  local own = is_own(scope) and own_rate(ledger.job(first, 'options', 'tenant'))
  if own then rate, window = own.max, own.durationMs end
  local free, again = math.huge, own and math.huge or NOW + LOOK
  if most then
    local taken, ends = alive(running(scope), NOW)
    free, again = most - taken, math.min(again, ends)
  end
  if rate and window then
    local taken, at = alive(starts(scope), NOW - window)
    free, again = math.min(free, rate - taken), math.min(again, at + window)
  end
  local coming, ends = alive(expected(scope), NOW)
  return free - coming, math.min(again, ends)
end

-- The first in line, unless it is there no more.
local function head(scope, backend)
  while true do
    local id = redis.call('ZRANGE', line(scope, backend), 0, 0)[1]
    if not id then return nil end
    local leg = ledger.leg(id, backend, 'limited', 'gen')
    if leg.limited == scope then return id, leg.gen end
    redis.call('ZREM', line(scope, backend), id)
  end
end

-- It starts, is let in, or will never run.
function ledger.leave_line(id, backend)
  local scope = ledger.leg(id, backend, 'limited').limited
  if not scope then return end
  redis.call('ZREM', line(scope, backend), id)
  redis.call('ZADD', ledger.open(backend), 'XX', NOW, id)
  redis.call('HDEL', ledger.key(id), backend .. '.limited')
end

-- From one line, after `let` others. -> how many that are then, and when to look again if somebody waits
local function from_line(scope, backend, let)
  local id, gen = head(scope, backend)
  if not id then return let end
  if ledger.paused(backend) then return let, NOW + LOOK end
  local free, again = room(scope, id)
  while id and free > 0 do
    if let == AT_ONCE then return let, NOW end
    let, free, again = let + 1, free - 1, math.min(again, NOW + COMING)
    ledger.leave_line(id, backend)
    redis.call('ZADD', expected(scope), NOW + COMING, backend .. ':' .. id)
    redis.call('PEXPIRE', expected(scope), COMING)
    ledger.set_leg(id, backend, { resent = NOW }) -- or it would look lost, having been accepted long ago
    ledger.give(id, backend, gen, NOW)
    id, gen = head(scope, backend)
  end
  return let, id and again
end

local letting = {} -- who is let in may turn out to be dead, which leaves a place: the loop under way sees to it

-- As many as there is room for, the backends by turns. -> how many
function ledger.let_in(scope)
  if letting[scope] or not redis.call('ZSCORE', LINES, scope) then return 0 end
  letting[scope] = true
  local let, again, at = 0, nil, nil
  for i = 1, #BACKENDS do
    let, at = from_line(scope, BACKENDS[(i + time[2]) % #BACKENDS + 1], let)
    again = at and math.min(again or at, at) or again
  end
  if again then redis.call('ZADD', LINES, again, scope) else redis.call('ZREM', LINES, scope) end
  letting[scope] = nil
  return let
end

-- Adds to `out` those just let in whom no broker has yet: id, generation, … Each for this caller alone for a while.
function ledger.add_let_in(scope, backend, out)
  for _, member in ipairs(redis.call('ZREVRANGEBYSCORE', expected(scope), '+inf', NOW, 'LIMIT', 0, #BACKENDS * AT_ONCE)) do
    local id = string.match(member, '^' .. backend .. ':(.*)$')
    local at = id and redis.call('ZSCORE', ledger.outbox(backend), id)
    if at and tonumber(at) <= NOW then
      redis.call('ZADD', ledger.outbox(backend), NOW + GRACE, id)
      out[#out + 1] = id
      out[#out + 1] = ledger.leg(id, backend, 'gen').gen
    end
  end
end

-- What has changed by itself: a time is over, a worker died, a limit was lifted.
function ledger.look_at_lines()
  local left = AT_ONCE
  for _, scope in ipairs(redis.call('ZRANGEBYSCORE', LINES, '-inf', NOW, 'LIMIT', 0, AT_ONCE)) do
    left = left - math.max(1, ledger.let_in(scope))
    if left <= 0 then return end
  end
end

-- A limit is another: its lines are looked at next.
function ledger.look_soon(scope) redis.call('ZADD', LINES, 'XX', NOW, scope) end

-- What was kept for it under other limits is the next one's.
local function give_up_places(id, backend, job, scope)
  for _, other in ipairs({ backend, 'type:' .. job.type }) do
    if other ~= scope and redis.call('ZREM', expected(other), backend .. ':' .. id) == 1 then ledger.let_in(other) end
  end
end

-- limits_held: scope, scope, … -> of each, how many stand in its line on all backends, and how many hold a place
function ops.limits_held(a)
  local out = {}
  for _, scope in ipairs(a) do
    local waiting = 0
    for _, backend in ipairs(BACKENDS) do waiting = waiting + redis.call('ZCARD', line(scope, backend)) end
    out[#out + 1] = waiting
    out[#out + 1] = redis.call('ZCOUNT', running(scope), '(' .. NOW, '+inf')
  end
  return out
end

-- `gen`: a new one, so that every copy under way is one too many. `wait`: ms until one more may start.
function ledger.stand_in_line(id, backend, gen, job, scope, wait)
  local level = LEVELS[string.match(job.options, '"priority":"(%l+)"') or ''] or 2
  redis.call('ZREM', expected(scope), backend .. ':' .. id)
  redis.call('ZADD', line(scope, backend), job.created + level * AGEING, id)
  redis.call('ZADD', LINES, 'NX', NOW + wait, scope)
  redis.call('ZADD', ledger.open(backend), 'XX', '+inf', id)
  redis.call('ZREM', ledger.outbox(backend), id)
  ledger.set_leg(id, backend, { state = 'delayed', gen = gen, lease = 0, limited = scope })
  ledger.emit(id, backend, 'limited', { limit = is_own(scope) and 'rateLimit' or scope })
  give_up_places(id, backend, job, scope)
end
