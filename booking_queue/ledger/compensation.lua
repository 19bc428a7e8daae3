-- compensation_defer: id, longest wait (ms) -> tries so far, wait (ms). It failed: again later, each time later.
-- The record lives as long as it owes something; one that is gone was taken away with the ledger.
function ops.compensation_defer(a)
  local rows = P .. ':compensations'
  if redis.call('EXISTS', ledger.key(a[1])) == 0 then
    redis.call('ZREM', rows, a[1])
    return { 0, 0 }
  end
  local tries = redis.call('HINCRBY', ledger.key(a[1]), 'compensation.tries', 1)
  local wait = math.floor(math.min(tonumber(a[2]), 1000 * 2 ^ math.min(tries, 20)) * (0.5 + math.random() / 2))
  redis.call('ZADD', rows, 'XX', NOW + wait, a[1])
  return { tries, wait }
end
