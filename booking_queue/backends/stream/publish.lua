-- Publishing, starting over, and the mover.

local ENDED = { completed = true, dead = true, cancelling = true, cancelled = true }
stream.waits = { pending = true, delayed = true, queued = true, retrying = true }

local function send(id, leg)
  local state, receipt = stream.place(id, leg)
  ledger.published(id, stream.backend, state, receipt)
  local fresh = leg.state == 'pending' or leg.state == 'delayed'
  return fresh and state or leg.state, receipt
end

-- stream_publish: id, generation -> published | sent | superseded | unknown, state, receipt
function ops.stream_publish(a)
  local leg, why, known = ledger.outgoing(a[1], stream.backend, a[2])
  if not leg then return { why, known and known.state or false, known and known.receipt or false } end
  if ENDED[leg.state] then
    redis.call('ZREM', ledger.outbox(stream.backend), a[1])
    return { 'sent', leg.state, leg.receipt or false }
  end
  return { 'published', send(a[1], leg) }
end

-- stream_redrive: id -> redriven, state, receipt; or why not
function ops.stream_redrive(a)
  local letter = ledger.leg(a[1], stream.backend, 'letter').letter
  local gen, why = ledger.redrive(a[1], stream.backend)
  if not gen then return { why } end
  if letter then
    redis.call('XDEL', stream.dead, letter)
    redis.call('HDEL', ledger.key(a[1]), stream.backend .. '.letter')
  end
  return { 'redriven', send(a[1], { state = 'pending', gen = gen, attempt = 0, due = 0 }) }
end

local function promote(id)
  local leg = ledger.leg(id, stream.backend, 'state', 'gen', 'due', 'attempt')
  if stream.waits[leg.state] then send(id, leg) else redis.call('ZREM', stream.due, id) end
end

-- stream_promote: limit -> ms until the next one is due, false when there is none
function ops.stream_promote(a)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', stream.due, '-inf', NOW, 'LIMIT', 0, tonumber(a[1]))) do
    promote(id)
  end
  local first = redis.call('ZRANGE', stream.due, 0, 0, 'WITHSCORES')
  return { first[2] and math.max(0, tonumber(first[2]) - NOW) or false }
end
