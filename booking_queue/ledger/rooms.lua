-- Rooms: per hotel and kind one hash a night, {total, taken, sold}. `taken` counts holds and sales alike,
-- `sold` the sales among them.
local function rooms_key(hotel, kind, night) return P .. ':rooms:' .. hotel .. ':' .. kind .. ':' .. night end

local DAY = 86400000
local ROOMS_KEPT = 30 * DAY + RETENTION -- after the night: longer than any record that could give its rooms back

-- ms since 1970 of a night as its date is written (Howard Hinnant's days from a civil date).
local function midnight(night)
  local y, m, d = string.match(night, '^(%d+)-(%d+)-(%d+)$')
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  if m <= 2 then y = y - 1 end
  local era, yoe = math.floor(y / 400), y % 400
  local doy = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + d - 1
  return (era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468) * DAY
end

-- A night that is over is kept from its last change on: it can still be booked. One to come has its end already,
-- unless this is its first entry.
local function keep_night(key, night, first)
  local at = midnight(night)
  if first or at < NOW then redis.call('PEXPIREAT', key, math.max(at, NOW) + ROOMS_KEPT) end
end

local function give_back(id)
  local hold = redis.call('HGET', ledger.key(id), 'hold')
  redis.call('ZREM', P .. ':holds', id)
  if not hold then return false end
  local h, sale = cjson.decode(hold), effect(id, 'inventory')
  local sold = sale and sale.state == 'done'
  for _, night in ipairs(h.nights) do
    local key = rooms_key(h.hotel, h.kind, night)
    if sold and redis.call('HINCRBY', key, 'sold', -1) <= 0 then redis.call('HDEL', key, 'sold') end
    if redis.call('HINCRBY', key, 'taken', -1) <= 0 and redis.call('HLEN', key) == 1 then redis.call('DEL', key) end
  end
  redis.call('HDEL', ledger.key(id), 'hold')
  return h
end

local function take(id, hold, default)
  for _, night in ipairs(hold.nights) do
    local room = redis.call('HMGET', rooms_key(hold.hotel, hold.kind, night), 'total', 'taken')
    if tonumber(room[2] or 0) >= tonumber(room[1] or default) then return night end
  end
  for _, night in ipairs(hold.nights) do
    local key = rooms_key(hold.hotel, hold.kind, night)
    keep_night(key, night, redis.call('HINCRBY', key, 'taken', 1) == 1)
  end
  ledger.set(id, 'hold', cjson.encode(hold))
end

local function hold_of(a, first)
  local nights = {}
  for i = first, #a do nights[#nights + 1] = a[i] end
  return { hotel = a[first - 2], kind = a[first - 1], nights = nights }
end

-- rooms_hold: id, backend, token, step, progress, hold (ms), default rooms, hotel, kind, nights…
-- Holds the rooms and marks the step done in one breath. `full` names the night.
function ops.rooms_hold(a)
  local id = a[1]
  if not holds(id, a[2], a[3], a[4]) then return { 'lost' } end
  if redis.call('HEXISTS', ledger.key(id), 'hold') == 0 then
    local full = take(id, hold_of(a, 10), tonumber(a[7]))
    if full then
      local result = cjson.encode({ rejected = 'No room available', night = full })
      done(id, a[2], a[3], a[4], a[5], result)
      return { 'full', result }
    end
  end
  redis.call('ZADD', P .. ':holds', NOW + tonumber(a[6]), id)
  local result = cjson.encode({ held = true })
  done(id, a[2], a[3], a[4], a[5], result)
  return { 'held', result }
end

-- rooms_sell: id, backend, token, step, progress, -, default rooms, hotel, kind, nights…
-- The hold becomes a sale. A hold that ran out is taken anew if there still is room.
function ops.rooms_sell(a)
  local id = a[1]
  if not holds(id, a[2], a[3], a[4]) then return { 'lost' } end
  if redis.call('HEXISTS', ledger.key(id), 'hold') == 0 then
    local full = take(id, hold_of(a, 10), tonumber(a[7]))
    if full then return { 'full', full } end
  end
  redis.call('ZREM', P .. ':holds', id)
  local hold = cjson.decode(redis.call('HGET', ledger.key(id), 'hold'))
  for _, night in ipairs(hold.nights) do
    local key = rooms_key(hold.hotel, hold.kind, night)
    redis.call('HINCRBY', key, 'sold', 1)
    keep_night(key, night)
  end
  local result = cjson.encode({ sold = true, confirmedAt = NOW })
  done(id, a[2], a[3], a[4], a[5], result)
  redis.call('HINCRBY', P .. ':counters', 'bookings.confirmed', 1)
  ledger.emit(id, false, 'confirmed')
  return { 'sold', result }
end

-- rooms_renew: id, hold (ms). A booking at work keeps its hold.
function ops.rooms_renew(a)
  redis.call('ZADD', P .. ':holds', 'XX', NOW + tonumber(a[2]), a[1])
  return { 1 }
end

-- rooms_expire: limit. Holds that ran out are given back; their bookings take them anew when they go on.
function ops.rooms_expire(a)
  local ids = redis.call('ZRANGEBYSCORE', P .. ':holds', '-inf', NOW, 'LIMIT', 0, tonumber(a[1]))
  for _, id in ipairs(ids) do
    if give_back(id) then ledger.emit(id, false, 'hold_expired') end
  end
  return ids
end

-- rooms_get: default rooms, hotel, kind, nights… -> total, taken, sold of each night
function ops.rooms_get(a)
  local out = {}
  for i = 4, #a do
    local room = redis.call('HMGET', rooms_key(a[2], a[3], a[i]), 'total', 'taken', 'sold')
    out[#out + 1] = room[1] or a[1]
    out[#out + 1] = room[2] or '0'
    out[#out + 1] = room[3] or '0'
  end
  return out
end

-- rooms_set: hotel, kind, total, nights… . Refused where more are taken already.
function ops.rooms_set(a)
  for i = 4, #a do
    local taken = tonumber(redis.call('HGET', rooms_key(a[1], a[2], a[i]), 'taken') or 0)
    if taken > tonumber(a[3]) then return { 'taken', a[i], taken } end
  end
  for i = 4, #a do
    local key = rooms_key(a[1], a[2], a[i])
    redis.call('HSET', key, 'total', a[3])
    keep_night(key, a[i], true)
  end
  return { 'set' }
end
