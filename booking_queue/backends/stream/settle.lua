-- What a delivery's verbs do: the ledger's change and the stream's writes, both or neither.
-- Without a token only the stream's part is done.

-- stream_extend: stream, stream id, consumer, [job, token]. The ledger decides; XCLAIM only what is still ours,
-- because it would steal work back otherwise.
function ops.stream_extend(a)
  if a[5] and not ledger.extend(a[4], stream.backend, a[5]) then return { 0 } end
  local held = mine(a[1], a[2], a[3])
  local idle = a[5] and 0 or LEASE - NOT_BEGUN
  if held then redis.call('XCLAIM', a[1], stream.group, a[3], 0, a[2], 'IDLE', idle, 'JUSTID') end
  return { (held or a[5]) and 1 or 0 }
end

-- stream_ack: stream, stream id, [job, token, result]
function ops.stream_ack(a)
  if a[4] and not ledger.complete(a[3], stream.backend, a[4], a[5]) then return { 0 } end
  if a[4] and ledger.hide(a[3], stream.backend, 'completed') then
    stream.remove(a[1], a[2])
  else
    redis.call('XACK', a[1], stream.group, a[2])
  end
  return { 1 }
end

-- stream_retry: stream, stream id, job, token, error, delay (ms)
function ops.stream_retry(a)
  local gen, due = ledger.retry(a[3], stream.backend, a[4], a[5], a[6])
  if not gen then return { 0 } end
  if due > NOW then
    stream.schedule(a[3], due)
  else
    local leg = ledger.leg(a[3], stream.backend, 'gen', 'attempt', 'due')
    local _, receipt = stream.place(a[3], leg)
    ledger.set_leg(a[3], stream.backend, { receipt = receipt })
  end
  stream.remove(a[1], a[2])
  return { 1 }
end

-- stream_bury: stream, stream id, message id, type, data, reason, [token, killer]
-- Without a token the entry itself is the proof that nobody buried it before.
function ops.stream_bury(a)
  local name, id, job, token = a[1], a[2], a[3], a[7]
  if token and not ledger.bury(job, stream.backend, token, a[6], a[8]) then return { 0 } end
  if not stream.remove(name, id) and not token then return { 0 } end
  local letter = redis.call('XADD', stream.dead, '*', 'originalMessageId', job, 'originalStream', name,
                            'originalStreamId', id, 'type', a[4], 'error', a[6], 'failedAt', NOW, 'data', a[5])
  if not token then ledger.letter(job, stream.backend, a[4], a[5], a[6]) end
  if token then
    ledger.set_leg(job, stream.backend, { letter = letter })
    ledger.hide(job, stream.backend, 'dead')
  end
  return { 1 }
end

-- stream_release: stream, stream id, consumer, [job, token]
function ops.stream_release(a)
  if a[5] and not ledger.release(a[4], stream.backend, a[5]) then return { 0 } end
  if not mine(a[1], a[2], a[3]) then return { 0 } end
  let_go(a[1], a[2], a[3])
  stream.call_wake()
  return { 1 }
end
