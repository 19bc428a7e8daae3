-- The streams: their names, their ids, and how a job gets onto one. Runs after the ledger's Lua, in the same script.

local stream = {
  backend = 'redisStreams',
  group = NAMES .. 'booking-workers',
  dead = NAMES .. 'booking-stream-dlq',
  due = P .. ':stream:due',        -- jobs that may not start yet, by the ms since 1970 when they may
  wake = P .. ':stream:wake',      -- a word to blocked consumers that there is something besides new entries
  shards = P .. ':stream:ids',     -- where the ids that entries had are kept, by when to look through them next
  levels = {},                     -- most urgent first
}
for i, suffix in ipairs({ '-critical', '-high', '', '-low' }) do
  stream.levels[i] = NAMES .. 'booking-stream' .. suffix
end
local LEVEL = { critical = 1, high = 2, normal = 3, low = 4 }
local EXACT = 2 ^ 53

function stream.level(options)
  return stream.levels[options == '{}' and 3 or LEVEL[cjson.decode(options).priority or 'normal']]
end

-- The names and values in turn that XINFO gives, as a table.
function stream.table(flat)
  local t = {}
  for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end
  return t
end

function stream.groups(name)
  local rows, out = redis.pcall('XINFO', 'GROUPS', name), {}
  if rows.err then return out end
  for i, row in ipairs(rows) do out[i] = stream.table(row) end
  return out
end

function stream.own_group(name)
  for _, group in ipairs(stream.groups(name)) do
    if group.name == stream.group then return group end
  end
end

function stream.top(name)
  local info = redis.pcall('XINFO', 'STREAM', name)
  return info.err and '0-0' or stream.table(info)['last-generated-id']
end

function stream.call_wake()
  redis.call('XADD', stream.wake, 'MAXLEN', 1, '*', 'at', NOW)
  redis.call('PEXPIRE', stream.wake, 60000)
end

-- Runs a command on our group; a group that is gone is made again, from the beginning: what was done is acked unrun.
function stream.grouped(name, ...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not string.find(answer.err, 'NOGROUP', 1, true) then error(answer) end
  redis.call('XGROUP', 'CREATE', name, stream.group, '0', 'MKSTREAM')
  ledger.count(stream.backend, 'groups_recreated')
  stream.recreated = (stream.recreated or 0) + 1
  return redis.call(...)
end

-- Every entry's sequence part comes from one counter, so no id is on two levels, whatever the clock does.
local function behind(name, number, ...)
  local ms, sequence = string.match(stream.top(name), '^(%d+)-(%d+)$')
  if tonumber(sequence) >= EXACT then return redis.call('XADD', name, '*', ...) end
  if tonumber(sequence) >= number then
    number = tonumber(sequence) + 1
    redis.call('SET', P .. ':stream:seq', string.format('%.0f', number))
  end
  return redis.call('XADD', name, ms .. '-' .. string.format('%.0f', number), ...)
end

function stream.add(name, ...)
  local number = redis.call('INCR', P .. ':stream:seq')
  local id = redis.pcall('XADD', name, NOW .. '-' .. string.format('%.0f', number), ...)
  if type(id) == 'string' then return id end
  if not string.find(id.err, 'equal or smaller', 1, true) then error(id) end
  return behind(name, number, ...) -- the clock went back, or somebody else writes here
end

local function shard(id)
  return stream.shards .. ':' .. math.floor(tonumber(string.match(id, '%-(%d+)$')) / 64)
end

-- Every stream id leads to its job for as long as the job's record lives: see stream_forget.
function stream.remember(id, job)
  local key = shard(id)
  redis.call('HSET', key, id, job)
  if redis.call('HLEN', key) == 1 then redis.call('ZADD', stream.shards, NOW + RETENTION, key) end
end

function stream.job_of(id)
  if not string.match(id, '^%d+%-%d+$') then return false end
  return redis.call('HGET', shard(id), id)
end

function stream.schedule(id, due)
  redis.call('ZADD', stream.due, due, id)
  if redis.call('ZRANGE', stream.due, 0, 0)[1] == id then stream.call_wake() end
end

-- Puts a leg where it belongs now: onto its level's stream, or among the due. Answers its state and its receipt.
function stream.place(id, leg)
  local rec = redis.call('HMGET', ledger.key(id), 'type', 'data', 'options', 'trace')
  local name, due = stream.level(rec[3]), tonumber(leg.due or 0)
  if due > NOW then
    stream.schedule(id, due)
    return 'delayed', cjson.encode({ messageId = id, stream = name })
  end
  local at = stream.add(name, 'messageId', id, 'type', rec[1], 'data', rec[2], 'generation', leg.gen,
                        'attempt', leg.attempt + 1, 'notBefore', due, 'traceparent', rec[4] or '')
  if due > 0 then redis.call('ZREM', stream.due, id) end
  stream.remember(at, id)
  return 'queued', cjson.encode({ messageId = id, streamId = at, stream = name })
end

-- Off the stream: for good where nobody else reads it.
function stream.remove(name, id)
  local held = redis.call('XACK', name, stream.group, id)
  if #stream.groups(name) <= 1 then redis.call('XDEL', name, id) end
  return held == 1
end
