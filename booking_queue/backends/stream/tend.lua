-- Housekeeping: nothing grows without bound.

-- The lowest id that some group still needs; false without a group, when nothing has been read yet.
local function needed_from(name)
  local least
  for _, group in ipairs(stream.groups(name)) do
    local ids = { group['last-delivered-id'] }
    if group.pending > 0 then ids[2] = redis.call('XPENDING', name, group.name)[2] end
    for _, id in ipairs(ids) do
      if not least or stream.before(id, least) then least = id end
    end
  end
  return least or false
end

-- Compared as text, because a sequence may be longer than Lua's numbers are exact.
local function padded(id)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. string.rep('0', 20 - #sequence) .. sequence
end

function stream.before(one, other) return padded(one) < padded(other) end

-- Whole nodes first, which costs nothing; of what is left in the first node so many one by one that exactly the
-- newest `kept` stay.
local function trim(name, limit, kept)
  local excess, removed = redis.call('XLEN', name) - kept, 0
  if excess > 100 then removed = redis.call('XTRIM', name, 'MINID', '~', limit, 'LIMIT', excess) end
  excess = excess - removed
  if excess > 100 then return removed + redis.call('XTRIM', name, 'MINID', limit) end
  if excess <= 0 then return removed end
  local oldest = redis.call('XRANGE', name, '-', '+', 'COUNT', excess + 1)
  local cut = oldest[#oldest][1]
  return removed + redis.call('XTRIM', name, 'MINID', stream.before(limit, cut) and limit or cut)
end

-- stream_trim: how many finished entries a level keeps -> removed. What is older than the ledger's records goes
-- whatever its number: nobody could tell any more what became of it. So do dead letters.
function ops.stream_trim(a)
  local removed, old = 0, string.format('%.0f-0', math.max(0, NOW - RETENTION))
  for _, name in ipairs(stream.levels) do
    local limit = needed_from(name)
    if limit and limit ~= '0-0' then
      removed = removed + trim(name, limit, tonumber(a[1]))
      removed = removed + redis.call('XTRIM', name, 'MINID', stream.before(limit, old) and limit or old)
    end
  end
  redis.call('XTRIM', stream.dead, 'MINID', old)
  return { removed }
end

-- stream_sweep: ms. Takes the names of consumers off that hold nothing and were not heard of for so long -> how many
function ops.stream_sweep(a)
  local gone = 0
  for _, name in ipairs(stream.levels) do
    local rows = redis.pcall('XINFO', 'CONSUMERS', name, stream.group)
    for _, row in ipairs(rows.err and {} or rows) do
      local consumer = stream.table(row)
      if consumer.pending == 0 and consumer.idle > tonumber(a[1]) then
        redis.call('XGROUP', 'DELCONSUMER', name, stream.group, consumer.name)
        gone = gone + 1
      end
    end
  end
  return { gone }
end

local function still_known(key)
  local flat, left = redis.call('HGETALL', key), 0
  for i = 1, #flat, 2 do
    if redis.call('EXISTS', ledger.key(flat[i + 1])) == 1 then
      left = left + 1
    else
      redis.call('HDEL', key, flat[i])
    end
  end
  return left > 0
end

-- stream_prune: cursor, limit -> next cursor. Delayed jobs that were cancelled need not wait for their time.
function ops.stream_prune(a)
  local answer = redis.call('ZSCAN', stream.due, a[1], 'COUNT', tonumber(a[2]))
  for i = 1, #answer[2], 2 do
    local state = ledger.leg(answer[2][i], stream.backend, 'state').state
    if not stream.waits[state] then redis.call('ZREM', stream.due, answer[2][i]) end
  end
  return { answer[1] }
end

-- stream_forget: limit. Stream ids go with their jobs' records -> shards looked through
function ops.stream_forget(a)
  local keys = redis.call('ZRANGEBYSCORE', stream.shards, '-inf', NOW, 'LIMIT', 0, tonumber(a[1]))
  for _, key in ipairs(keys) do
    if still_known(key) then
      redis.call('ZADD', stream.shards, NOW + math.ceil(RETENTION / 48), key)
    else
      redis.call('ZREM', stream.shards, key)
    end
  end
  return { #keys }
end
