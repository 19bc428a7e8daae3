-- What was taken for a booking that ended unconfirmed, or was cancelled, is given back, once a round of its effects.

-- Something is to be given back for it: the record stays until that is done.
function ledger.owe(id)
  redis.call('ZADD', P .. ':compensations', NOW, id)
  redis.call('PERSIST', ledger.key(id))
  redis.call('PERSIST', P .. ':audit:' .. id)
end

-- The money is back, and the guest is still to be told so: a line of its own, behind which no money waits.
local function tell(id)
  redis.call('ZREM', P .. ':compensations', id)
  redis.call('ZADD', P .. ':untold', NOW, id)
end

-- A record lives as long as it owes something: one that is gone was taken away with the ledger.
local function hand_out(rows, limit, lease)
  local out = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', rows, '-inf', NOW, 'LIMIT', 0, tonumber(limit))) do
    if redis.call('EXISTS', ledger.key(id)) == 1 then
      redis.call('ZADD', rows, NOW + tonumber(lease), id)
      out[#out + 1] = id
    else
      redis.call('ZREM', rows, id)
    end
  end
  return out
end

-- compensations_take: limit, lease (ms) -> ids whose money is owed, each for this caller alone until its lease ends
function ops.compensations_take(a)
  local out = {}
  for _, id in ipairs(hand_out(P .. ':compensations', a[1], a[2])) do
    -- Versions before `untold` let it stay in this line until its mail was sent.
    if effect(id, 'compensation') then tell(id) else out[#out + 1] = id end
  end
  return out
end

-- untold_take: limit, lease (ms) -> ids whose guests are to be told, each for this caller alone until its lease ends
function ops.untold_take(a) return hand_out(P .. ':untold', a[1], a[2]) end

-- A redrive may have begun the next round meanwhile: what that owes is not paid with what was done for the last, nor put
-- off because that failed.
local function of_this_round(id, round)
  local rec = get(id, 'created', 'round')
  return rec[1] and (rec[2] or '1') == round
end

-- compensation_told: id, round, mailed (1: a mail told so). Nothing more is owed.
function ops.compensation_told(a)
  if not of_this_round(a[1], a[2]) then return { 0 } end
  local made = a[3] == '1' and effect(a[1], 'compensation')
  if made then
    local result = cjson.decode(made.result)
    result.mailed = true
    made.result = cjson.encode(result)
    store(a[1], 'compensation', made)
  end
  redis.call('ZREM', P .. ':untold', a[1])
  ledger.expire(a[1])
  return { 1 }
end

-- compensated: id, round, result (JSON), mail (1: the guest is still to be told). The money is back, where any was taken
-- (`refunded`): so are the rooms.
function ops.compensated(a)
  local id, result = a[1], a[3]
  if not of_this_round(id, a[2]) or not redis.call('ZSCORE', P .. ':compensations', id) then return { 0 } end
  if effect(id, 'compensation') then return { 0 } end
  give_back(id)
  if a[4] == '1' then tell(id) else redis.call('ZREM', P .. ':compensations', id) end
  store(id, 'compensation', { state = 'done', result = result, at = NOW })
  ledger.emit(id, false, 'compensated', { refunded = cjson.decode(result).refunded })
  if redis.call('HGET', ledger.key(id), 'cancel') then ledger.cancelled(id) end
  if a[4] ~= '1' then ledger.expire(id) end
  return { 1 }
end

-- compensation_defer: id, round, longest wait (ms) -> tries so far, 0 of a round that is over. It, or the mail, failed:
-- again later, each time later.
function ops.compensation_defer(a)
  if not of_this_round(a[1], a[2]) then return { 0 } end
  local tries = redis.call('HINCRBY', ledger.key(a[1]), 'compensation.tries', 1)
  local wait = math.floor(math.min(tonumber(a[3]), 1000 * 2 ^ math.min(tries, 20)) * (0.5 + math.random() / 2))
  for _, rows in ipairs({ ':compensations', ':untold' }) do redis.call('ZADD', P .. rows, 'XX', NOW + wait, a[1]) end
  return { tries }
end
