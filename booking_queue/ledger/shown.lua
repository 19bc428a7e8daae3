-- removeOnComplete and removeOnFail: how long a finished job can be seen on its backend. The ledger keeps it all the same.
-- (RQ's own records end by themselves: see rq/record.lua.)

local OPTION = { completed = 'removeOnComplete', dead = 'removeOnFail' }

local function keep_of(id, state)
  local options = redis.call('HGET', ledger.key(id), 'options')
  if not options or not string.find(options, OPTION[state], 1, true) then return false end
  return cjson.decode(options)[OPTION[state]]
end

-- Of those that were sent with a count, a tenant's own.
local function newest(id, backend, state)
  return P .. ':shown:' .. ledger.own_name(get(id, 'tenant')[1] or '', backend .. ':' .. state)
end

-- The job has just ended: whether it is to be seen no more.
function ledger.hide(id, backend, state)
  local keep = keep_of(id, state)
  if type(keep) ~= 'table' then return keep end
  if keep.count == 0 then return true end
  if keep.count then
    local shown = newest(id, backend, state)
    redis.call('ZADD', shown, NOW, id)
    redis.call('ZREMRANGEBYRANK', shown, 0, -1 - keep.count)
    redis.call('PEXPIRE', shown, RETENTION)
  end
  return false
end

function ledger.shows(id, backend)
  local leg = ledger.leg(id, backend, 'state', 'finished')
  local keep = OPTION[leg.state] and keep_of(id, leg.state)
  if type(keep) ~= 'table' then return not keep end
  if keep.age and leg.finished + keep.age * 1000 < NOW then return false end
  return not keep.count or redis.call('ZSCORE', newest(id, backend, leg.state), id) ~= false
end

-- shows: id, backend -> 1 while the job can be seen there
function ops.shows(a) return { ledger.shows(a[1], a[2]) and 1 or 0 } end
