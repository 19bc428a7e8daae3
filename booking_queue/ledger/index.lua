-- Lists: members of an index, newest first, and the sweeping out of those whose record is gone.

-- Rank of the first entry behind (score, id), also when that entry itself is no longer there, or elsewhere.
local function behind(key, score, id)
  if tonumber(redis.call('ZSCORE', key, id) or -1) == tonumber(score) then
    return redis.call('ZREVRANK', key, id) + 1
  end
  local low = redis.call('ZCOUNT', key, '(' .. score, '+inf')
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZREVRANGE', key, middle, middle)[1] < id then high = middle else low = middle + 1 end
  end
  return low
end

-- index_page: name, score and id of the last one seen ('' and '' for the newest), limit -> id, score, id, score, …
function ops.index_page(a)
  local key = P .. ':index:' .. a[1]
  local first = a[2] == '' and 0 or behind(key, a[2], a[3])
  return redis.call('ZREVRANGE', key, first, first + tonumber(a[4]) - 1, 'WITHSCORES')
end

-- index_has: name, id
function ops.index_has(a) return { redis.call('ZSCORE', P .. ':index:' .. a[1], a[2]) and 1 or 0 } end

-- index_sweep: name, offset, limit -> next offset (-1 at the end), how many were removed.
-- Entries younger than the retention cannot have lost their record.
function ops.index_sweep(a)
  local key, offset, limit = P .. ':index:' .. a[1], tonumber(a[2]), tonumber(a[3])
  local found, gone, old = redis.call('ZRANGE', key, offset, offset + limit - 1, 'WITHSCORES'), {}, 0
  for i = 1, #found, 2 do
    if tonumber(found[i + 1]) > NOW - RETENTION then break end
    old = old + 1
    if redis.call('EXISTS', ledger.key(found[i])) == 0 then gone[#gone + 1] = found[i] end
  end
  if #gone > 0 then redis.call('ZREM', key, unpack(gone)) end
  return { old < limit and -1 or offset + old - #gone, #gone }
end
