-- Runs the operations of a batch. One that fails is answered for by itself: [1, answer] or [0, error].
local answers = {}
local i = 6
while i <= #ARGV do
  local op, n, args = ARGV[i], tonumber(ARGV[i + 1]), {}
  for j = 1, n do args[j] = ARGV[i + 1 + j] end
  i = i + 2 + n
  local ok, answer = pcall(ops[op], args)
  if not ok and type(answer) == 'table' then answer = answer.err end
  answers[#answers + 1] = { ok and 1 or 0, ok and answer or tostring(answer) }
end
return answers
