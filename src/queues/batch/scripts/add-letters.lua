-- ARGV: 1 most letters, 2 their most bytes, 3 their life in ms, then for each: id, `<batch>.<row>`, letter as JSON, packed
-- row. Returns nothing. The letters of a row that has one already change nothing.
local letters, written, ttl = root .. ':letters', root .. ':letters:written', tonumber(ARGV[3])
for at = 4, #ARGV, 4 do
  local id, row = ARGV[at], root .. ':letter-of:' .. ARGV[at + 1]
  if call('SET', row, id, 'PX', ttl, 'NX') then
    -- Numbered by the bytes of all that were ever written: two numbers tell what lies between them.
    call('ZADD', letters, call('INCRBY', written, #ARGV[at + 2] + #ARGV[at + 3]), id)
    call('HSET', root .. ':letter:' .. id, 'letter', ARGV[at + 2], 'input', ARGV[at + 3], 'row', row)
    call('PEXPIRE', root .. ':letter:' .. id, ttl)
  end
end
keep(letters, ttl)
keep(written, ttl)
local over = call('ZCARD', letters) - tonumber(ARGV[1])
if over > 0 then
  for _, id in ipairs(call('ZRANGE', letters, 0, over - 1)) do dropLetter(id) end
end
local last = (call('GET', written) or 0) - ARGV[2]
for _, id in ipairs(call('ZRANGE', letters, '-inf', last, 'BYSCORE')) do dropLetter(id) end
