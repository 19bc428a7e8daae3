-- The outbox: what is due, and a row to try a backend with.

local LOOKED_AT = 100 -- rows: the cost stays the same however many wait
local SPREAD = 28000  -- ms: the longest that a row waits for its next try, beyond the time that this try may take

-- outbox_take: backend, limit. Due rows, each for this caller alone until its next turn (full jitter).
function ops.outbox_take(a)
  ledger.look_at_lines()
  local outbox, out = ledger.outbox(a[1]), {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', NOW, 'LIMIT', 0, tonumber(a[2]))) do
    local leg = ledger.leg(id, a[1], 'gen', 'tries')
    if leg.gen then
      local tries = tonumber(leg.tries or 0) + 1
      local wait = GRACE + math.random() * math.min(SPREAD, 500 * 2 ^ math.min(tries, 10))
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
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox, NOW + GRACE, NOW + GRACE + SPREAD + 1000, 'LIMIT', 0, 1000)) do
    if tonumber(ledger.leg(id, a[1], 'due').due or 0) <= NOW then
      redis.call('ZADD', outbox, 'XX', NOW + math.floor(math.random() * 2000), id)
      n = n + 1
    end
  end
  return { n }
end

-- open_age: backend -> for how long (ms) a leg without an outcome could have started, in the outbox or not; 0 without one
function ops.open_age(a)
  local first = redis.call('ZRANGE', ledger.open(a[1]), 0, 0, 'WITHSCORES')
  return { first[2] and math.max(0, NOW - tonumber(first[2])) or 0 }
end

-- outbox_probe: backend -> id, generation of a due row, else of one that is not; for this caller alone until its next try.
-- What a backend that failed is tried with: were it with none that is not due, one that was given nothing but delayed
-- jobs while it failed would never be found to work again. One that stands at its due time was put off by a service
-- whose broker cannot delay: sent again, it would be told so once more, and nothing of the broker.
function ops.outbox_probe(a)
  local outbox, found = ledger.outbox(a[1]), nil
  local rows = redis.call('ZRANGE', outbox, 0, LOOKED_AT - 1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    local id, at = rows[i], tonumber(rows[i + 1])
    local gen = ledger.leg(id, a[1], 'gen').gen
    if not gen then redis.call('ZREM', outbox, id) end
    local leg = gen and ledger.outgoing(id, a[1], gen) -- which takes it off where it is another's turn
    local due = leg and tonumber(leg.due or 0)
    if due and (due <= NOW or not found and at < due) then found = { id, gen, at } end
    if due and due <= NOW then break end
  end
  if not found then return {} end
  -- Behind those of the same moment, or the next caller would get it too.
  redis.call('ZADD', outbox, math.max(NOW + GRACE, found[3]) + 1, found[1])
  return { found[1], found[2] }
end
