-- Reading: the levels in order, up to the free slots, in one script.

local LONG_AGO = 86400000 -- ms: idle beyond any lease

local function mine(name, id, consumer)
  local rows = redis.pcall('XPENDING', name, stream.group, id, id, 1, consumer)
  return not rows.err and rows[1] ~= nil
end

local function let_go(name, id, consumer)
  redis.call('XCLAIM', name, stream.group, consumer, 0, id, 'IDLE', LONG_AGO, 'JUSTID')
end

-- An entry of the pending list that is on the stream no more: somebody deleted it. Its job is sent again.
local function vanished(name, id, found)
  redis.call('XACK', name, stream.group, id)
  ledger.count(stream.backend, 'vanished')
  found.vanished[#found.vanished + 1] = name .. ' ' .. id
  local job = stream.job_of(id)
  if job and redis.call('ZSCORE', ledger.open(stream.backend), job) then
    redis.call('ZADD', ledger.outbox(stream.backend), 'NX', NOW, job)
  end
end

local function keep(name, entry, found)
  if not entry[2] then return vanished(name, entry[1], found) end
  found.entries[#found.entries + 1] = { name, entry[1], entry[2] }
  found.taken[name .. ' ' .. entry[1]] = true
  found.left = found.left - 1
end

-- What was delivered to us and is not at work here: before a restart, or in an answer that was lost.
local function own(name, found)
  local answer = stream.grouped(name, 'XREADGROUP', 'GROUP', stream.group, found.consumer,
                                'COUNT', found.left + found.running_count + #found.entries, 'STREAMS', name, '0')
  for _, entry in ipairs(answer and answer[1][2] or {}) do
    local place = name .. ' ' .. entry[1]
    if found.left == 0 then return end
    if not found.running[place] and not found.taken[place] then keep(name, entry, found) end
  end
end

-- What others, or we, let lie for a lease. An entry at work here stays free for others: its heartbeat has stopped.
local function abandoned(name, found)
  local idle = redis.pcall('XPENDING', name, stream.group, 'IDLE', LEASE, '-', '+', 1)
  if idle.err or not idle[1] then return end
  local cursor = '0-0'
  repeat
    local answer = redis.call('XAUTOCLAIM', name, stream.group, found.consumer, LEASE, cursor, 'COUNT', found.left)
    cursor = answer[1]
    for _, entry in ipairs(answer[2]) do
      local place = name .. ' ' .. entry[1]
      if found.running[place] then
        let_go(name, entry[1], found.consumer)
      elseif not found.taken[place] then
        redis.call('XCLAIM', name, stream.group, found.consumer, 0, entry[1], 'IDLE', LEASE - NOT_BEGUN, 'JUSTID')
        keep(name, entry, found)
      end
    end
    for _, id in ipairs(answer[3] or {}) do vanished(name, id, found) end
  until cursor == '0-0' or found.left == 0
  found.more = found.left == 0
end

local function fresh(name, count, found)
  local answer = stream.grouped(name, 'XREADGROUP', 'GROUP', stream.group, found.consumer,
                                'COUNT', count, 'STREAMS', name, '>')
  for _, entry in ipairs(answer and answer[1][2] or {}) do keep(name, entry, found) end
end

local function head(name)
  local group = stream.own_group(name)
  if not group then return nil end
  local entry = redis.call('XRANGE', name, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
  return entry and tonumber(string.match(entry[1], '^%d+'))
end

-- Against starvation: the lower level whose first entry has waited longest goes before the highest that has any; of two
-- that have waited alike, the lower one.
local function fair(found)
  local top, best, oldest = false, nil, nil
  for _, name in ipairs(stream.levels) do
    local at = head(name)
    if at and top and (not oldest or at <= oldest) then best, oldest = name, at end
    top = top or at
  end
  if best then fresh(best, 1, found) end
end

-- Once all of it is found it is not looked for again, until an answer is lost: reading it costs as much as what we hold.
local function recover(found)
  for _, name in ipairs(stream.levels) do
    if found.left > 0 then own(name, found) end
  end
  found.recover = found.left == 0
end

local function by_level(found)
  if found.recover then recover(found) end
  for _, name in ipairs(stream.levels) do
    if found.left > 0 and found.look then abandoned(name, found) end
    if found.left > 0 then fresh(name, found.left, found) end
  end
end

-- stream_take: consumer, free slots, of these for lower levels, also look for own, for abandoned, what runs here…
-- -> entries {stream, id, fields}, ids to wait from (none when more may be waiting), vanished, recreated groups,
--    1 when there may be more abandoned ones, 1 when there may be more of our own
function ops.stream_take(a)
  local reserve = tonumber(a[3])
  local found = { consumer = a[1], left = a[2] - reserve, recover = a[4] == '1', look = a[5] == '1',
                  entries = {}, taken = {}, vanished = {}, running = {}, running_count = #a - 5 }
  for i = 6, #a do found.running[a[i]] = true end
  stream.recreated = 0
  by_level(found)
  if reserve > 0 then
    local full = found.left == 0 -- otherwise nothing waits, and there is nobody to be fair to
    found.left = found.left + reserve
    for _ = 1, full and reserve or 0 do fair(found) end
    if full and found.left > 0 then by_level(found) end
  end
  local tops = {}
  if found.left > 0 then
    for i, name in ipairs(stream.levels) do
      local group = stream.own_group(name)
      tops[i] = group and group['last-delivered-id'] or '0-0'
    end
    tops[#tops + 1] = stream.top(stream.wake)
  end
  return { found.entries, tops, found.vanished, stream.recreated, found.more and 1 or 0, found.recover and 1 or 0 }
end

-- stream_open: makes the groups that are not there yet -> how many
function ops.stream_open()
  local made = 0
  for _, name in ipairs(stream.levels) do
    if not stream.own_group(name) then
      redis.call('XGROUP', 'CREATE', name, stream.group, '0', 'MKSTREAM')
      made = made + 1
    end
  end
  return { made }
end

-- stream_leave: consumer. What it still holds is free for others at once; with nothing held its name goes.
function ops.stream_leave(a)
  local handed = 0
  for _, name in ipairs(stream.levels) do
    local rows = redis.pcall('XPENDING', name, stream.group, '-', '+', 1000, a[1])
    for _, row in ipairs(rows.err and {} or rows) do
      let_go(name, row[1], a[1])
      handed = handed + 1
    end
    if not rows.err and #rows == 0 then redis.call('XGROUP', 'DELCONSUMER', name, stream.group, a[1]) end
  end
  if handed > 0 then stream.call_wake() end
  return { handed }
end
