-- ARGV: 1 most letters, 2 their life in ms, then for each: id, `<batch>.<row>`, letter as JSON, packed row.
-- Returns nothing. The letters of a row that has one already change nothing.
local letters, ttl = root .. ':letters', tonumber(ARGV[2])
for at = 3, #ARGV, 4 do
  local id, row = ARGV[at], root .. ':letter-of:' .. ARGV[at + 1]
  if call('SET', row, id, 'PX', ttl, 'NX') then
    call('ZADD', letters, call('INCR', root .. ':letters:sequence'), id)
    call('HSET', root .. ':letter:' .. id, 'letter', ARGV[at + 2], 'input', ARGV[at + 3], 'row', row)
    call('PEXPIRE', root .. ':letter:' .. id, ttl)
  end
end
keep(letters, ttl)
keep(root .. ':letters:sequence', ttl)
local over = call('ZCARD', letters) - tonumber(ARGV[1])
if over > 0 then
  for _, id in ipairs(call('ZRANGE', letters, 0, over - 1)) do dropLetter(id) end
end
