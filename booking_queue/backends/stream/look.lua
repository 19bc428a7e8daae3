-- Looking, without changing anything. Each of these costs the same for ten entries and for a million.

local LAG_COUNTED = 1000
local LISTED_BYTES = 2048 -- of a field; of a larger one a list shows the beginning
local READ_AT_ONCE = 20   -- entries, whose fields may be of any size

local function first_waiting(name, group)
  local entry = redis.call('XRANGE', name, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
  return entry and entry[1]
end

-- Entries not delivered to the group. After somebody deleted entries unread, Redis does not know it, or (7.0) counts
-- too many: so nothing is nothing, and what it does not know is counted, up to a bound.
local function lag_of(name, group)
  if not first_waiting(name, group) then return 0 end
  if group.lag then return group.lag end
  local from = '(' .. group['last-delivered-id']
  local waiting = #redis.call('XRANGE', name, from, '+', 'COUNT', LAG_COUNTED)
  return waiting < LAG_COUNTED and waiting or redis.call('XLEN', name)
end

-- ms since the oldest entry that no one has taken came onto the stream; 0 without one
local function age_of(name, group)
  local id = first_waiting(name, group)
  return id and math.max(0, NOW - tonumber(string.match(id, '^%d+'))) or 0
end

local function level_stats(name)
  local length = redis.call('XLEN', name)
  local group = stream.own_group(name)
  if not group then return { name, length, 0, length, 0, 0 } end
  return { name, length, group.pending, lag_of(name, group), group.consumers, age_of(name, group) }
end

-- stream_stats -> dead letters, due, of these not due yet, ms the first due one is late, vanished, recreated groups, then
-- of each level: name, length, pending, lag, consumers, age (ms)
function ops.stream_stats()
  local first = redis.call('ZRANGE', stream.due, 0, 0, 'WITHSCORES')[2]
  local names = { stream.backend .. '.vanished', stream.backend .. '.groups_recreated' }
  local counters = redis.call('HMGET', P .. ':counters', unpack(names))
  local out = { redis.call('XLEN', stream.dead), redis.call('ZCARD', stream.due),
                redis.call('ZCOUNT', stream.due, '(' .. NOW, '+inf'),
                first and math.max(0, NOW - tonumber(first)) or 0, counters[1] or '0', counters[2] or '0' }
  for _, name in ipairs(stream.levels) do out[#out + 1] = level_stats(name) end
  return out
end

-- stream_lookup: id -> receipt, due (ms) or false, dead letter's id or false, is it on the stream, consumer, idle (ms),
-- deliveries. Nothing when the ledger has no such job, or never sent it here.
function ops.stream_lookup(a)
  local leg = ledger.leg(a[1], stream.backend, 'receipt', 'letter')
  if not leg.receipt then return {} end
  local receipt = cjson.decode(leg.receipt)
  local due, there, row = redis.call('ZSCORE', stream.due, a[1]), false, nil
  if receipt.streamId then
    there = redis.call('XRANGE', receipt.stream, receipt.streamId, receipt.streamId)[1] ~= nil
    local rows = redis.pcall('XPENDING', receipt.stream, stream.group, receipt.streamId, receipt.streamId, 1)
    row = not rows.err and rows[1] or nil
  end
  row = row or {}
  return { leg.receipt, due, leg.letter, there and 1 or 0, row[2] or false, row[3] or false, row[4] or false }
end

-- stream_resolve: a message's id, or any stream id it ever had -> the message's id, while its job can be seen
function ops.stream_resolve(a)
  local job = a[1]
  if redis.call('EXISTS', ledger.key(job)) == 0 then job = stream.job_of(job) end
  local known = job and redis.call('EXISTS', ledger.key(job)) == 1
  return { known and ledger.shows(job, stream.backend) and job or false }
end

-- A list has to fit into memory: these fields of an entry, each cut, and `bytes`, how large its data is, where that was.
local function brief(entry, names)
  local fields, flat = stream.table(entry[2]), {}
  for _, name in ipairs(names) do
    if fields[name] then
      flat[#flat + 1] = name
      flat[#flat + 1] = string.sub(fields[name], 1, LISTED_BYTES)
    end
  end
  if fields.data and #fields.data > LISTED_BYTES then
    flat[#flat + 1] = 'bytes'
    flat[#flat + 1] = tostring(#fields.data)
  end
  return { entry[1], flat }
end

local function newest(name, count, names)
  local out, from = {}, '+'
  while #out < count do
    local wanted = math.min(READ_AT_ONCE, count - #out)
    local found = redis.call('XREVRANGE', name, from, '-', 'COUNT', wanted)
    for _, entry in ipairs(found) do out[#out + 1] = brief(entry, names) end
    if #found < wanted then break end
    from = '(' .. found[#found][1]
  end
  return out
end

-- stream_messages: count -> stream, {id, fields}, … of each level, newest first
function ops.stream_messages(a)
  local out = {}
  for _, name in ipairs(stream.levels) do
    for _, entry in ipairs(newest(name, tonumber(a[1]), { 'type', 'messageId', 'data' })) do
      out[#out + 1] = name
      out[#out + 1] = entry
    end
  end
  return out
end

-- stream_letters: count -> {id, fields}, … newest first
function ops.stream_letters(a)
  return newest(stream.dead, tonumber(a[1]), { 'originalMessageId', 'originalStream', 'originalStreamId', 'type',
                                               'error', 'failedAt', 'data' })
end

-- stream_pending: count -> stream, {id, consumer, idle, deliveries}, … oldest first on each level
function ops.stream_pending(a)
  local out = {}
  for _, name in ipairs(stream.levels) do
    local rows = redis.pcall('XPENDING', name, stream.group, '-', '+', tonumber(a[1]))
    for _, row in ipairs(rows.err and {} or rows) do
      out[#out + 1] = name
      out[#out + 1] = row
    end
  end
  return out
end

-- stream_consumers -> stream, name, pending, idle (ms), …
function ops.stream_consumers()
  local out = {}
  for _, name in ipairs(stream.levels) do
    local rows = redis.pcall('XINFO', 'CONSUMERS', name, stream.group)
    for _, row in ipairs(rows.err and {} or rows) do
      local consumer = stream.table(row)
      for _, value in ipairs({ name, consumer.name, consumer.pending, consumer.idle }) do out[#out + 1] = value end
    end
  end
  return out
end

-- stream_groups -> stream, name, consumers, pending, lag, last delivered id, …
function ops.stream_groups()
  local out = {}
  for _, name in ipairs(stream.levels) do
    for _, group in ipairs(stream.groups(name)) do
      local row = { name, group.name, group.consumers, group.pending, lag_of(name, group), group['last-delivered-id'] }
      for _, value in ipairs(row) do out[#out + 1] = value end
    end
  end
  return out
end

-- stream_group_create: name, start (0, $ or an id) -> 1, or 0 where there is one of that name
function ops.stream_group_create(a)
  for _, name in ipairs(stream.levels) do
    for _, group in ipairs(stream.groups(name)) do
      if group.name == a[1] then return { 0 } end
    end
  end
  for _, name in ipairs(stream.levels) do redis.call('XGROUP', 'CREATE', name, a[1], a[2], 'MKSTREAM') end
  return { 1 }
end

-- stream_group_delete: name -> gone | unknown | own | pending (how many)
function ops.stream_group_delete(a)
  if a[1] == stream.group then return { 'own' } end
  local found, pending = false, 0
  for _, name in ipairs(stream.levels) do
    for _, group in ipairs(stream.groups(name)) do
      if group.name == a[1] then
        found, pending = true, pending + group.pending
      end
    end
  end
  if not found then return { 'unknown' } end
  if pending > 0 then return { 'pending', pending } end
  for _, name in ipairs(stream.levels) do redis.call('XGROUP', 'DESTROY', name, a[1]) end
  return { 'gone' }
end
