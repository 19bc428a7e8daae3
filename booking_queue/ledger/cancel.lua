-- Cancelling: at once for whoever runs it (its claim is gone), finished once the money is back.

-- Nobody may run it any more, whoever does: the claim is gone. The broker's copy is dropped when it is read.
function ledger.call_off(id, backend)
  ledger.set_leg(id, backend, { state = 'cancelling', lease = 0 })
  redis.call('ZREM', ledger.outbox(backend), id)
  ledger.leave_line(id, backend)
  ledger.vacate(id, backend, get(id, 'type')[1])
end

local function sold(id)
  local json = redis.call('HGET', ledger.key(id), 'fx.inventory')
  return json and cjson.decode(json).state == 'done'
end

local function rejected(id)
  local json = redis.call('HGET', ledger.key(id), 'fx.validate')
  return json and string.find(json, 'rejected', 1, true)
end

-- cancel: id -> cancelling | cancelled (a job that owes nothing) | again (asked for before, and how far it is) |
--               over (why it cannot be) | unknown
function ops.cancel(a)
  local id = a[1]
  local rec = redis.call('HMGET', ledger.key(id), 'legs', 'kind', 'cancel')
  if not rec[1] then return { 'unknown' } end
  if rec[3] then return { 'again', rec[3] } end
  local still, dead = {}, true
  for backend in string.gmatch(rec[1], '[^,]+') do
    local state = ledger.leg(id, backend, 'state').state
    if not TERMINAL[state] then still[#still + 1] = backend end
    dead = dead and state == 'dead'
  end
  local booking = rec[2] == 'booking'
  if booking and rejected(id) then return { 'over', 'rejected' } end
  if #still == 0 and not (booking and sold(id)) then return { 'over', dead and 'failed' or 'completed' } end
  ledger.set(id, 'cancel', 'cancelling')
  ledger.emit(id, false, 'cancelling')
  for _, backend in ipairs(still) do ledger.call_off(id, backend) end
  if booking then
    ledger.owe(id)
    return { 'cancelling' }
  end
  ledger.cancelled(id)
  return { 'cancelled' }
end
