-- Jobs of one ordering key run one at a time on a backend, in the order of their acceptance, over retries too.
-- Whose turn it is holds it until its outcome, and a broker is given a job only when it is its turn. The claim asks once
-- more, for copies that a broker was given before.

local function turns(backend, key) return P .. ':turns:' .. backend .. ':' .. key end
local function hold_key(backend, key) return P .. ':held:' .. backend .. ':' .. key end

function ledger.line_up(id, backend, key)
  redis.call('ZADD', turns(backend, key), 'NX', redis.call('INCR', P .. ':sequence'), id)
end

-- Nobody's turn until then (ms): whoever had it was called off, and may still be at work.
function ledger.hold_turn(backend, key, until_)
  if key and until_ > NOW then redis.call('SET', hold_key(backend, key), 1, 'PXAT', until_) end
end

-- Is it this job's turn, whose ordering key this is? One whose record is gone, or which has ended, holds up nobody.
-- Of the next one, too, while it is nobody's: from when on (ms) it will be.
function ledger.its_turn(id, backend, key)
  if not key then return true end
  local line = turns(backend, key)
  while true do
    local first = redis.call('ZRANGE', line, 0, 0)[1]
    if not first or first == id then
      local left = redis.call('PTTL', hold_key(backend, key))
      return left <= 0, NOW + left
    end
    local state = ledger.leg(first, backend, 'state').state
    if state and not TERMINAL[state] then return false end
    redis.call('ZREM', line, first)
  end
end

-- To its broker: at once by a script that knows that one, else by the outbox, or by a worker that asks what follows.
ledger.on_turn = {}
function ledger.give(id, backend, gen, at)
  redis.call('ZADD', ledger.outbox(backend), at, id)
  if ledger.on_turn[backend] then ledger.on_turn[backend](id, gen) end
end

-- Whose turn it is, and has not been sent.
local function following(backend, key)
  local first = redis.call('ZRANGE', turns(backend, key), 0, 0)[1]
  if not first then return end
  local leg = ledger.leg(first, backend, 'state', 'gen', 'due', 'limited')
  if (leg.state == 'pending' or leg.state == 'delayed') and not leg.limited then return first, leg end
end

-- It stands in line no more; had it the turn, the next one is sent.
function ledger.end_turn(id, backend, key)
  local place = key and redis.call('ZRANK', turns(backend, key), id)
  if not place then return end
  redis.call('ZREM', turns(backend, key), id)
  if place > 0 then return end
  local first, leg = following(backend, key)
  if first then ledger.give(first, backend, leg.gen, math.max(NOW, tonumber(leg.due or 0))) end
end

-- following: id, backend -> id, generation, … of what the end of this job let go on: the next of its ordering key, and
-- who was let in by its limits. For a worker whose broker is outside Redis: it sends them itself.
function ops.following(a)
  local job, backend, out = ledger.job(a[1], 'order', 'type'), a[2], {}
  if not job.type then return out end
  if job.order then
    local first, leg = following(backend, job.order)
    if first then out = { first, leg.gen } end
  end
  for _, scope in ipairs({ backend, 'type:' .. job.type }) do ledger.add_let_in(scope, backend, out) end
  return out
end
