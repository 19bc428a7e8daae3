-- Cancelling: at once for whoever runs it (its claim is gone), finished once the money is back.

-- Nobody may run it any more, whoever does: the claim is gone. The broker's copy is dropped when it is read. The next of
-- its ordering key need not wait until all is given back; where it was running, until its worker must have noticed.
function ledger.call_off(id, backend)
  local leg, job = ledger.leg(id, backend, 'state', 'lease'), ledger.job(id, 'type', 'order')
  ledger.set_leg(id, backend, { state = 'cancelling', lease = 0 })
  redis.call('ZREM', ledger.outbox(backend), id)
  ledger.leave_line(id, backend)
  -- Its place under a limit, too, is its own until then.
  if leg.state == 'active' then
    ledger.hold_turn(backend, job.order, tonumber(leg.lease))
  else
    ledger.vacate(id, backend, job.type)
  end
  ledger.end_turn(id, backend, job.order)
end

local function sold(id)
  local json = redis.call('HGET', ledger.key(id), 'fx.inventory')
  return json and cjson.decode(json).state == 'done'
end

local function rejected(id)
  local json = redis.call('HGET', ledger.key(id), 'fx.validate')
  return json and string.find(json, 'rejected', 1, true)
end

-- cancel: id -> cancelling, and the backends whose brokers may hold it till its time |
--               again (asked for before, and how far it is) | over (why it cannot be) | unknown
function ops.cancel(a)
  local id = a[1]
  local rec = redis.call('HMGET', ledger.key(id), 'legs', 'cancel')
  if not rec[1] then return { 'unknown' } end
  if rec[2] then return { 'again', rec[2] } end
  local still, dead = {}, true
  for backend in string.gmatch(rec[1], '[^,]+') do
    local state = ledger.leg(id, backend, 'state').state
    if not TERMINAL[state] then still[#still + 1] = backend end
    dead = dead and state == 'dead'
  end
  if rejected(id) then return { 'over', 'rejected' } end
  if #still == 0 and not sold(id) then return { 'over', dead and 'failed' or 'completed' } end
  ledger.set(id, 'cancel', 'cancelling')
  ledger.emit(id, false, 'cancelling')
  local answer = { 'cancelling' }
  for _, backend in ipairs(still) do
    local leg = ledger.leg(id, backend, 'due', 'limited')
    if leg.limited or tonumber(leg.due or 0) > NOW then answer[#answer + 1] = backend end
    ledger.call_off(id, backend)
  end
  ledger.owe(id)
  return answer
end
