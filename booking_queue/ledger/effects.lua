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

-- effect_reach: id, backend, token, step. The leg is at a step that it does not claim.
function ops.effect_reach(a)
  if not ledger.owns(a[1], a[2], a[3]) then return { 'lost' } end
  ledger.set_leg(a[1], a[2], { step = a[4] })
  return { 'reached' }
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
