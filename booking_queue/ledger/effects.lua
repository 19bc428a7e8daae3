-- Effects: each step of a job's work happens once, whichever leg gets there first.
-- A claim on an effect lives exactly as long as the claiming leg's lease: there is no second lease to keep.

local function effect(id, step)
  local json = redis.call('HGET', ledger.key(id), 'fx.' .. step)
  return json and cjson.decode(json) or nil
end

local function store(id, step, fx) ledger.set(id, 'fx.' .. step, cjson.encode(fx)) end

-- How long the leg that holds this effect may still take (ms); nil when nobody holds it any more.
local function held(id, fx)
  if not fx or fx.state ~= 'claimed' then return nil end
  local leg = ledger.leg(id, fx.backend, 'state', 'token', 'lease')
  if leg.state ~= 'active' or leg.token ~= fx.token then return nil end
  local left = tonumber(leg.lease) - NOW
  return left > 0 and left or nil
end

-- effect_claim: id, backend, token, step, progress -> done (result, by) | held (ms) | claimed | lost
function ops.effect_claim(a)
  local id, backend, token, step = a[1], a[2], a[3], a[4]
  if not ledger.owns(id, backend, token) then return { 'lost' } end
  local fx = effect(id, step)
  if fx and fx.state == 'done' then
    ledger.set_leg(id, backend, { progress = a[5], step = step })
    ledger.emit(id, backend, 'reused', { step = step, by = fx.backend, progress = tonumber(a[5]) })
    return { 'done', fx.result, fx.backend }
  end
  local left = held(id, fx)
  if left and not (fx.backend == backend and fx.token == token) then
    ledger.set(id, 'fx.waiting', 1)
    return { 'held', left }
  end
  store(id, step, { state = 'claimed', backend = backend, token = token, at = NOW })
  ledger.set_leg(id, backend, { step = step })
  return { 'claimed' }
end

-- Does this leg hold this effect? Only then may it be written.
local function holds(id, backend, token, step)
  local fx = effect(id, step)
  return ledger.owns(id, backend, token) and fx and fx.state == 'claimed' and fx.backend == backend and fx.token == token
end

local function done(id, backend, token, step, progress, result)
  store(id, step, { state = 'done', backend = backend, token = token, result = result, at = NOW })
  ledger.set_leg(id, backend, { progress = progress, step = step })
  ledger.emit(id, backend, 'step', { step = step, progress = tonumber(progress) })
  -- Legs that found it held wait for this word rather than for the end of the lease.
  if redis.call('HDEL', ledger.key(id), 'fx.waiting') == 1 then redis.call('PUBLISH', P .. ':effects', id) end
end

-- effect_done: id, backend, token, step, progress, result (JSON)
function ops.effect_done(a)
  if not holds(a[1], a[2], a[3], a[4]) then return { 'lost' } end
  done(a[1], a[2], a[3], a[4], a[5], a[6])
  return { 'done' }
end

-- effect_drop: id, backend, token, step. The step failed: whoever waits may try at once. A trace stays, because
-- a provider may have done it and only the answer was lost.
function ops.effect_drop(a)
  if not holds(a[1], a[2], a[3], a[4]) then return { 0 } end
  store(a[1], a[4], { state = 'failed', backend = a[2], at = NOW })
  if redis.call('HDEL', ledger.key(a[1]), 'fx.waiting') == 1 then redis.call('PUBLISH', P .. ':effects', a[1]) end
  return { 1 }
end

-- progress: id, backend, token, step, percent. For handlers whose steps have no effect to share.
function ops.progress(a)
  if not ledger.owns(a[1], a[2], a[3]) then return { 0 } end
  ledger.set_leg(a[1], a[2], { progress = a[5], step = a[4] })
  ledger.emit(a[1], a[2], 'step', { step = a[4], progress = tonumber(a[5]) })
  return { 1 }
end

-- Rooms: per hotel and kind one hash a night, {total, taken}. `taken` counts holds and sales alike.
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

-- compensations_take: limit, lease (ms) -> ids, each for this caller alone until its lease ends
function ops.compensations_take(a)
  local ids = redis.call('ZRANGEBYSCORE', P .. ':compensations', '-inf', NOW, 'LIMIT', 0, tonumber(a[1]))
  for _, id in ipairs(ids) do redis.call('ZADD', P .. ':compensations', NOW + tonumber(a[2]), id) end
  return ids
end

-- A redrive may have begun the next round meanwhile: what that owes is not paid with what was done for the last.
local function of_this_round(id, round) return (get(id, 'round')[1] or '1') == round end

-- compensation_told: id, round. Nothing more is owed.
function ops.compensation_told(a)
  if not of_this_round(a[1], a[2]) then return { 0 } end
  redis.call('ZREM', P .. ':compensations', a[1])
  ledger.expire(a[1])
  return { 1 }
end

-- compensated: id, round, result (JSON), mail (1: the guest is still to be told, and the row stays for it). The money is
-- back, where any was taken (`refunded`): so are the rooms.
function ops.compensated(a)
  local id, result = a[1], a[3]
  if not of_this_round(id, a[2]) or not redis.call('ZSCORE', P .. ':compensations', id) then return { 0 } end
  if effect(id, 'compensation') then return { 0 } end
  give_back(id)
  store(id, 'compensation', { state = 'done', result = result, at = NOW })
  ledger.emit(id, false, 'compensated', { refunded = cjson.decode(result).refunded })
  if redis.call('HGET', ledger.key(id), 'cancel') then ledger.cancelled(id) end
  if a[4] ~= '1' then ops.compensation_told(a) end
  return { 1 }
end
