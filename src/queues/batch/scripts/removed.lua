-- ARGV: the digests of one answer of forget-expired.lua. Returns nothing. Of an answer that is not the last one nothing is
-- taken: its digests are handed out again.
local id = call('ZRANGE', root .. ':garbage', 0, 0)[1]
local list = id and root .. ':garbage:' .. id
if not id or call('LINDEX', list, 0) ~= ARGV[1] then return end
call('LTRIM', list, #ARGV, -1)
if call('EXISTS', list) == 0 then call('ZREM', root .. ':garbage', id) end
