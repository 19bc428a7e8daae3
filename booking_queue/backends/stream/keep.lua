-- removeOnComplete and removeOnFail: how long a finished job can be seen. The ledger keeps it all the same.

local OPTION = { completed = 'removeOnComplete', dead = 'removeOnFail' }

local function keep_of(id, state)
  local options = redis.call('HGET', ledger.key(id), 'options')
  if not options or not string.find(options, OPTION[state], 1, true) then return false end
  return cjson.decode(options)[OPTION[state]]
end

local function newest(state) return P .. ':stream:shown:' .. state end

-- The job has just ended: whether its entry is to go at once.
function stream.ended(id, state)
  local keep = keep_of(id, state)
  if type(keep) ~= 'table' then return keep end
  if keep.count then
    redis.call('ZADD', newest(state), NOW, id)
    redis.call('ZREMRANGEBYRANK', newest(state), 0, -1 - keep.count)
    redis.call('PEXPIRE', newest(state), RETENTION)
  end
  return false
end

function stream.visible(id)
  local leg = ledger.leg(id, stream.backend, 'state', 'finished')
  local keep = OPTION[leg.state] and keep_of(id, leg.state)
  if type(keep) ~= 'table' then return not keep end
  if keep.age and leg.finished + keep.age * 1000 < NOW then return false end
  return not keep.count or redis.call('ZSCORE', newest(leg.state), id) ~= false
end
