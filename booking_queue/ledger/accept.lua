-- The ways into the ledger: accepted by us, adopted from a broker, or kept as a letter that can be no job.

function ledger.kind(type) return type == 'booking' and 'booking' or 'job' end

-- accept: id, type, data, options, trace, delay (ms), backends (comma separated), tenant, index keys…
function ops.accept(a)
  local id, delay, tenant = a[1], tonumber(a[6]), a[8]
  local known = get(id, 'created')[1]
  if known then return { 'exists', known } end
  local most = tenant ~= '' and ledger.too_many_outstanding(tenant)
  if most then return { 'tenant full', most } end
  for backend in string.gmatch(a[7], '[^,]+') do
    if not ledger.has_room(backend) then return { 'full', backend } end
  end
  local due = delay > 0 and NOW + delay or 0
  local fields = { 'type', a[2], 'kind', ledger.kind(a[2]), 'data', a[3], 'options', a[4], 'trace', a[5], 'legs', a[7],
                   'created', NOW, 'fence', 0 }
  local order = string.find(a[4], '"orderingKey"', 1, true) and cjson.decode(a[4]).orderingKey
  if order then
    order = ledger.own_name(tenant, order)
    fields[#fields + 1] = 'order'
    fields[#fields + 1] = order
  end
  if tenant ~= '' then
    fields[#fields + 1] = 'tenant'
    fields[#fields + 1] = tenant
    ledger.outstanding(id, tenant)
  end
  for backend in string.gmatch(a[7], '[^,]+') do
    for name, value in pairs({ state = 'pending', gen = 1, attempt = 0, starts = 0, due = due }) do
      fields[#fields + 1] = backend .. '.' .. name
      fields[#fields + 1] = value
    end
    redis.call('ZADD', ledger.outbox(backend), NOW + GRACE, id)
    redis.call('ZADD', ledger.open(backend), math.max(NOW, due), id)
    if order then ledger.line_up(id, backend, order) end
    ledger.count(backend, 'accepted')
  end
  ledger.set(id, unpack(fields))
  for i = 9, #a do redis.call('ZADD', P .. ':index:' .. a[i], NOW, id) end
  ledger.emit(id, false, 'accepted', { type = a[2], backends = a[7] })
  return { 'accepted', tostring(NOW) }
end

-- What came to a broker and can be no job is a dead letter of its own, under an id that its place gives it.
function ledger.letter(id, backend, kind, raw, reason)
  if redis.call('EXISTS', ledger.key(id)) == 1 then return end
  ledger.set(id, 'type', kind ~= '' and kind or 'unreadable', 'kind', 'letter', 'data', cjson.encode({ raw = raw }),
             'options', '{}', 'trace', '', 'legs', backend, 'created', NOW, 'fence', 0)
  ledger.set_leg(id, backend, { state = 'dead', gen = 1, attempt = 0, starts = 0, due = 0, finished = NOW,
                                error = reason })
  inter(id, backend)
  ledger.count(backend, 'dead')
  ledger.emit(id, backend, 'dead', { error = reason })
  ledger.expire(id)
end

-- letter: id, backend, type, raw (text), reason
function ops.letter(a)
  ledger.letter(a[1], a[2], a[3], a[4], a[5])
  return { 1 }
end

-- adopt: id, backend, type, data, options. A job that came onto the broker without us gets its record.
function ops.adopt(a)
  local id, backend = a[1], a[2]
  if redis.call('EXISTS', ledger.key(id)) == 1 then return { 'exists' } end
  ledger.set(id, 'type', a[3], 'kind', ledger.kind(a[3]), 'data', a[4], 'options', a[5], 'trace', '', 'legs', backend,
             'created', NOW, 'fence', 0)
  ledger.set_leg(id, backend, { state = 'queued', gen = 1, attempt = 0, starts = 0, due = 0, enqueued = NOW })
  redis.call('ZADD', ledger.open(backend), NOW, id)
  ledger.count(backend, 'accepted')
  ledger.emit(id, backend, 'adopted', { type = a[3] })
  return { 'adopted' }
end
