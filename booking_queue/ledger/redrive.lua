-- The dead letters: starting over, here or on another backend, as they were or edited; or put away.

local BEFORE_KEPT = 1000 -- bytes

-- Why a dead leg cannot start over; nothing if it can.
local function stays_dead(id, backend)
  local state = ledger.leg(id, backend, 'state').state
  if state ~= 'dead' then return state or 'unknown' end
  if not redis.call('ZSCORE', (graves(id, backend)), id) then return 'moved or discarded' end
  local rec = get(id, 'cancel', 'kind')
  if rec[1] then return rec[1] end
  if rec[2] == 'letter' then return 'unreadable' end
  local owed = redis.call('ZSCORE', P .. ':compensations', id)
  if owed and redis.call('HEXISTS', ledger.key(id), 'fx.compensation') == 0 then return 'compensating' end
end

-- What was compensated is done anew: the provider's void of the last round stays true.
local function next_round(id)
  local key = ledger.key(id)
  redis.call('PERSIST', key)
  redis.call('PERSIST', P .. ':audit:' .. id)
  if redis.call('HDEL', key, 'fx.compensation') == 0 then return end
  redis.call('ZREM', P .. ':compensations', id)
  redis.call('ZREM', P .. ':untold', id) -- a mail that could not be sent yet is true no more
  redis.call('HDEL', key, 'fx.validate', 'fx.payment', 'fx.document', 'fx.mail', 'fx.inventory', 'compensation.tries')
  if redis.call('HINCRBY', key, 'round', 1) == 1 then redis.call('HSET', key, 'round', 2) end
end

local function start_over(id, backend)
  local key, leg, rec = ledger.key(id), ledger.leg(id, backend, 'gen'), get(id, 'order', 'tenant')
  local gen = (leg.gen or 0) + 1
  redis.call('HDEL', key, backend .. '.error', backend .. '.finished', backend .. '.started', backend .. '.enqueued',
             backend .. '.data', backend .. '.type')
  redis.call('HINCRBY', key, backend .. '.redrives', 1)
  ledger.set_leg(id, backend, { state = 'pending', gen = gen, attempt = 0, starts = 0, due = 0, redriven = NOW })
  redis.call('ZADD', ledger.outbox(backend), NOW + GRACE, id)
  redis.call('ZADD', ledger.open(backend), NOW, id)
  exhume(id, backend)
  if rec[1] then ledger.line_up(id, backend, rec[1]) end
  if rec[2] then ledger.outstanding(id, rec[2]) end
  ledger.emit(id, backend, 'redriven', { generation = gen })
  return gen
end

-- It is work again, for which there must be room as for what is accepted: why there is not; nothing if there is.
local function no_room(id, backend)
  local tenant = get(id, 'tenant')[1]
  local counts = tenant and redis.call('ZSCORE', of_tenant(tenant), id) -- another of its legs has not ended
  local most = tenant and not counts and ledger.too_many_outstanding(tenant)
  if most then return 'tenant full', most end
  if not ledger.has_room(backend) then return 'full', backend end
end

-- A dead leg starts over, as a new generation; or false, why not, and the limit or the backend if that is full.
function ledger.redrive(id, backend)
  local why, full = stays_dead(id, backend), nil
  if not why then why, full = no_room(id, backend) end
  if why then return false, why, full end
  next_round(id)
  return start_over(id, backend)
end

-- redrive: id, backend -> 'redriven', generation
function ops.redrive(a)
  local gen, why, full = ledger.redrive(a[1], a[2])
  if not gen then return { why, full } end
  return { 'redriven', gen }
end

-- Only what no leg has done, or is doing, may be edited: why it may not. An attempt whose time ran out, or whose lease
-- did, may have sold the rooms before it died.
local function uneditable(id)
  for backend in string.gmatch(get(id, 'legs')[1], '[^,]+') do
    if ledger.leg(id, backend, 'state').state ~= 'dead' then return 'not to be edited' end
  end
  local sale = decoded(get(id, 'fx.inventory')[1])
  if sale and sale.state == 'done' then return 'sold' end
end

-- What failed, for letters that their broker was not sent yet.
local function keep_for_letters(id, before)
  for backend in string.gmatch(get(id, 'legs')[1], '[^,]+') do
    local waits = redis.call('ZSCORE', ledger.outbox(backend), id)
    if waits and not ledger.leg(id, backend, 'data').data then
      ledger.set_leg(id, backend, { data = before[1], type = before[3] })
    end
  end
end

-- As much of it as the audit keeps, and everybody is sent: up to 200 edits of one job are kept. Cut between characters.
local function bounded(text)
  if #text <= BEFORE_KEPT then return text end
  local last = BEFORE_KEPT
  while string.find(string.sub(text, last + 1, last + 1), '[\128-\191]') do last = last - 1 end
  return string.sub(text, 1, last) .. ' … (cut)'
end

-- indices: those that it leaves, so many, then those that it joins.
local function edit(id, kind, data, leaves, indices)
  local before = get(id, 'data', 'created', 'type')
  keep_for_letters(id, before)
  ledger.emit(id, false, 'edited', { before = bounded(before[1]) })
  ledger.set(id, 'type', kind, 'kind', ledger.kind(kind), 'data', data)
  for i, name in ipairs(indices) do
    local index = P .. ':index:' .. name
    if i <= leaves then redis.call('ZREM', index, id) else redis.call('ZADD', index, before[2], id) end
  end
end

-- Another backend takes a dead leg's place; the leg stays as it ended.
local function move(id, from, to)
  if not ledger.leg(id, to, 'state').state then
    ledger.set(id, 'legs', get(id, 'legs')[1] .. ',' .. to)
    ledger.count(to, 'accepted')
  end
  exhume(id, from)
  ledger.emit(id, from, 'moved', { to = to })
end

-- redrive_as: id, backend, to, [type, data (JSON), how many indices it leaves, these, those it joins…]
-- -> 'redriven', generation; of a leg that is not dead where it is to go, its state and there
function ops.redrive_as(a)
  local id, from, to, data = a[1], a[2], a[3], a[5]
  local why = stays_dead(id, from)
  if why and not (why == 'unreadable' and data) then return { why } end
  local there = from ~= to and ledger.leg(id, to, 'state').state
  if there and there ~= 'dead' then return { there .. ' on ' .. to } end
  why = data and uneditable(id)
  if why then return { why } end
  local no, full = no_room(id, to)
  if no then return { no, full } end
  -- Nothing refuses it any more: a record that is refused must not be changed, nor lose its end.
  if data then edit(id, a[4], data, tonumber(a[6]), { unpack(a, 7) }) end
  next_round(id)
  if from ~= to then move(id, from, to) end
  return { 'redriven', start_over(id, to) }
end

-- discard: id, backend. A dead leg that nobody wants to see any more.
-- -> discarded; or why not: its state, unknown, moved or discarded
function ops.discard(a)
  local state = ledger.leg(a[1], a[2], 'state').state
  if state ~= 'dead' then return { state or 'unknown' } end
  if not exhume(a[1], a[2]) then return { 'moved or discarded' } end
  ledger.emit(a[1], a[2], 'discarded')
  return { 'discarded' }
end
