-- What was taken for a booking that ended unconfirmed, or was cancelled, is given back, once a round of its effects.

-- Something is to be given back for it: the record stays until that is done.
function ledger.owe(id)
  redis.call('ZADD', P .. ':compensations', NOW, id)
  redis.call('PERSIST', ledger.key(id))
  redis.call('PERSIST', P .. ':audit:' .. id)
end

-- compensations_take: limit, lease (ms) -> ids, each for this caller alone until its lease ends
function ops.compensations_take(a)
  local ids = redis.call('ZRANGEBYSCORE', P .. ':compensations', '-inf', NOW, 'LIMIT', 0, tonumber(a[1]))
  for _, id in ipairs(ids) do redis.call('ZADD', P .. ':compensations', NOW + tonumber(a[2]), id) end
  return ids
end

-- A redrive may have begun the next round meanwhile: what that owes is not paid with what was done for the last.
local function of_this_round(id, round) return (get(id, 'round')[1] or '1') == round end

-- compensation_told: id, round. Nothing more is owed.
function ops.compensation_told(a)
  if not of_this_round(a[1], a[2]) then return { 0 } end
  redis.call('ZREM', P .. ':compensations', a[1])
  ledger.expire(a[1])
  return { 1 }
end

-- compensated: id, round, result (JSON), mail (1: the guest is still to be told, and the row stays for it). The money is
-- back, where any was taken (`refunded`): so are the rooms.
function ops.compensated(a)
  local id, result = a[1], a[3]
  if not of_this_round(id, a[2]) or not redis.call('ZSCORE', P .. ':compensations', id) then return { 0 } end
  if effect(id, 'compensation') then return { 0 } end
  give_back(id)
  store(id, 'compensation', { state = 'done', result = result, at = NOW })
  ledger.emit(id, false, 'compensated', { refunded = cjson.decode(result).refunded })
  if redis.call('HGET', ledger.key(id), 'cancel') then ledger.cancelled(id) end
  if a[4] ~= '1' then ops.compensation_told(a) end
  return { 1 }
end

-- compensation_defer: id, longest wait (ms) -> tries so far, wait (ms). It failed: again later, each time later.
-- The record lives as long as it owes something; one that is gone was taken away with the ledger.
function ops.compensation_defer(a)
  local rows = P .. ':compensations'
  if redis.call('EXISTS', ledger.key(a[1])) == 0 then
    redis.call('ZREM', rows, a[1])
    return { 0, 0 }
  end
  local tries = redis.call('HINCRBY', ledger.key(a[1]), 'compensation.tries', 1)
  local wait = math.floor(math.min(tonumber(a[2]), 1000 * 2 ^ math.min(tries, 20)) * (0.5 + math.random() / 2))
  redis.call('ZADD', rows, 'XX', NOW + wait, a[1])
  return { tries, wait }
end
