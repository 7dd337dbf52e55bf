-- ARGV: 1 batch, 2 how many digests of it forget-expired.lua gave, 3 the first of them, then those that are stuck. Returns
-- nothing. Of an answer that is not the last one nothing is taken: its digests are handed out again.
local id = ARGV[1]
local list = root .. ':garbage:' .. id
if call('LINDEX', list, 0) ~= ARGV[3] then return end
-- In this order: a list that was empty in between would have lost its expiry.
for at = 4, #ARGV do call('RPUSH', list, ARGV[at]) end
call('LTRIM', list, ARGV[2], -1)
if call('EXISTS', list) == 0 then call('ZREM', root .. ':garbage', id) end
