-- One key, one piece of work: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/07/
-- What is made for a key gets its ids from a nonce that is kept with the key, so that doing it again makes nothing new,
-- as long as the records are there: LEDGER_RETENTION at least from when the key was new.

local function row(key) return P .. ':idempotency:' .. key end

-- idempotency_begin: key, fingerprint of the request, nonce, lease (ms), how long it is kept (ms)
-- -> new | again (it was begun, and nobody is at it), nonce; done, nonce, answer; running, ms; other (a different request);
--    spent (what was made of it may be forgotten)
function ops.idempotency_begin(a)
  local key = row(a[1])
  local known = redis.call('HMGET', key, 'print', 'nonce', 'lease', 'answer')
  if known[1] and known[1] ~= a[2] then return { 'other' } end
  if known[4] then return { 'done', known[2], known[4] } end
  if known[1] and tonumber(known[3]) > NOW then return { 'running', tonumber(known[3]) - NOW } end
  if known[1] and a[5] - redis.call('PTTL', key) > RETENTION - a[4] then return { 'spent' } end
  if not known[1] then
    redis.call('HSET', key, 'print', a[2], 'nonce', a[3])
    redis.call('PEXPIRE', key, a[5])
  end
  redis.call('HSET', key, 'lease', NOW + a[4])
  if known[1] then redis.call('HSET', key, 'again', 1) end
  return { known[1] and 'again' or 'new', known[2] or a[3] }
end

-- idempotency_end: key, nonce, [answer]
function ops.idempotency_end(a)
  if redis.call('HGET', row(a[1]), 'nonce') ~= a[2] then return { 0 } end
  redis.call('HSET', row(a[1]), 'lease', 0)
  if a[3] then redis.call('HSET', row(a[1]), 'answer', a[3]) end
  return { 1 }
end

-- idempotency_forget: key, nonce. This attempt did nothing; where there was another, that one may have.
function ops.idempotency_forget(a)
  local known = redis.call('HMGET', row(a[1]), 'nonce', 'again')
  if known[1] ~= a[2] then return { 0 } end
  if known[2] then
    redis.call('HSET', row(a[1]), 'lease', 0)
    return { 0 }
  end
  return { redis.call('DEL', row(a[1])) }
end
