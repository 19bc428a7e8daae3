-- Jobs of one ordering key run one at a time on a backend, in the order of their acceptance, over retries too.
-- Whose turn it is holds it until its outcome, and a broker is given a job only when it is its turn. The claim asks once
-- more, for copies that a broker was given before.

local function turns(backend, key) return P .. ':turns:' .. backend .. ':' .. key end

function ledger.line_up(id, backend, key)
  redis.call('ZADD', turns(backend, key), 'NX', redis.call('INCR', P .. ':sequence'), id)
end

-- Is it this job's turn, whose ordering key this is? One whose record is gone, or which has ended, holds up nobody.
function ledger.its_turn(id, backend, key)
  if not key then return true end
  local line = turns(backend, key)
  while true do
    local first = redis.call('ZRANGE', line, 0, 0)[1]
    if not first or first == id then return true end
    local state = ledger.leg(first, backend, 'state').state
    if state and not TERMINAL[state] then return false end
    redis.call('ZREM', line, first)
  end
end

-- The next in line, sent by the outbox; a script that knows its broker does it at once.
ledger.on_turn = {}

-- Whose turn it is, and has not been sent.
local function following(backend, key)
  local first = redis.call('ZRANGE', turns(backend, key), 0, 0)[1]
  if not first then return end
  local leg = ledger.leg(first, backend, 'state', 'gen', 'due')
  if leg.state == 'pending' or leg.state == 'delayed' then return first, leg end
end

function ledger.end_turn(id, backend, key)
  if not key then return end
  redis.call('ZREM', turns(backend, key), id)
  local first, leg = following(backend, key)
  if not first then return end
  redis.call('ZADD', ledger.outbox(backend), math.max(NOW, tonumber(leg.due or 0)), first)
  if ledger.on_turn[backend] then ledger.on_turn[backend](first, leg.gen) end
end

-- following: id, backend -> id, generation of the next of this job's ordering key. For a worker whose broker is outside
-- Redis: it sends the next itself.
function ops.following(a)
  local key = get(a[1], 'order')[1]
  if not key then return {} end
  local first, leg = following(a[2], key)
  return first and { first, leg.gen } or {}
end
