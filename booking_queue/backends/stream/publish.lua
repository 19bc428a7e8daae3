-- Publishing, starting over, and the mover.

stream.waits = { pending = true, delayed = true, queued = true, retrying = true }

local function send(id, leg)
  local state, receipt = stream.place(id, leg)
  ledger.published(id, stream.backend, state, receipt)
  local fresh = leg.state == 'pending' or leg.state == 'delayed'
  return fresh and state or leg.state, receipt
end

-- A dead letter that starts over, or that nobody wants any more.
local function take_letter(id)
  local letter = ledger.leg(id, stream.backend, 'letter').letter
  if not letter then return end
  redis.call('XDEL', stream.dead, letter)
  redis.call('HDEL', ledger.key(id), stream.backend .. '.letter')
end

local function publish(id, gen)
  local leg, why, known = ledger.outgoing(id, stream.backend, gen)
  if not leg then return { why, known and known.state or false, known and known.receipt or false } end
  if TERMINAL[leg.state] or leg.state == 'cancelling' then
    redis.call('ZREM', ledger.outbox(stream.backend), id)
    return { 'sent', leg.state, leg.receipt or false }
  end
  take_letter(id)
  return { 'published', send(id, leg) }
end

-- stream_publish: id, generation -> published | sent | waits | superseded | unknown, state, receipt
function ops.stream_publish(a) return publish(a[1], a[2]) end

-- stream_redrive: id -> as stream_publish; or why not, alone
function ops.stream_redrive(a)
  local gen, why, full = ledger.redrive(a[1], stream.backend)
  if not gen then return { why, full } end
  return publish(a[1], gen)
end

-- stream_discard: id. What the stream still holds of a job that has ended.
function ops.stream_discard(a)
  local answer = ops.discard({ a[1], stream.backend })
  if stream.waits[ledger.leg(a[1], stream.backend, 'state').state] then return answer end
  redis.call('ZREM', stream.due, a[1])
  take_letter(a[1])
  return answer
end

local function promote(id)
  local leg = ledger.leg(id, stream.backend, 'state', 'gen', 'due', 'attempt')
  if stream.waits[leg.state] then send(id, leg) else redis.call('ZREM', stream.due, id) end
end

-- stream_promote: limit -> ms until the next one is due, false when there is none
function ops.stream_promote(a)
  ledger.look_at_lines()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', stream.due, '-inf', NOW, 'LIMIT', 0, tonumber(a[1]))) do
    promote(id)
  end
  local first = redis.call('ZRANGE', stream.due, 0, 0, 'WITHSCORES')
  return { first[2] and math.max(0, tonumber(first[2]) - NOW) or false }
end
