  -- Defining all these functions takes longer than running one: each half is defined when a script first needs it.
  local loaded, others = nil, getmetatable(ops)
  setmetatable(ops, { __index = function(all, name)
    if string.sub(name, 1, 7) ~= 'stream_' then return others and others.__index(all, name) end
    loaded = loaded or work()
    if not rawget(all, name) then care(loaded) end
    return rawget(all, name)
  end })
  ledger.on_turn.redisStreams = function(id, gen) ops.stream_publish({ id, gen }) end
