-- ARGV: 1 how many batches, and how many digests. Returns how many batches were forgotten, and digests that are nobody's
-- any more with the batch whose they were.
-- A list of garbage is worked off from its head: `removed.lua`.
local expired = call('ZRANGE', root .. ':expiring', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, member in ipairs(expired) do
  forget(string.match(member, '^([^:]+):(.*)$'))
  call('ZREM', root .. ':expiring', member)
end
local garbage = root .. ':garbage'
local id = call('ZRANGE', garbage, 0, 0)[1]
local digests = id and call('LRANGE', root .. ':garbage:' .. id, 0, ARGV[1] - 1) or {}
-- Behind the others: what cannot be removed must not be in their way.
if #digests > 0 then call('ZADD', garbage, call('ZRANGE', garbage, -1, -1, 'WITHSCORES')[2] + 1, id)
elseif id then call('ZREM', garbage, id) end
return { #expired, id or '', digests }
