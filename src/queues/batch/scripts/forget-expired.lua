-- ARGV: 1 how many batches, and how many digests. Returns how many batches were forgotten, and digests that are nobody's
-- any more with the batch whose they were.
-- A batch's list of digests becomes a list of garbage, whole, and is worked off from its head: `removed.lua`.
local expired = call('ZRANGE', root .. ':expiring', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, member in ipairs(expired) do
  local id, owner = string.match(member, '^([^:]+):(.*)$')
  if call('EXISTS', ofBatch(id, 'digests')) == 1 then
    call('RENAME', ofBatch(id, 'digests'), root .. ':garbage:' .. id)
    call('PEXPIRE', root .. ':garbage:' .. id, openMsMax)
    call('ZADD', root .. ':garbage', now, id)
    keep(root .. ':garbage', openMsMax)
  end
  call('UNLINK', root .. ':' .. id)
  for _, part in ipairs(parts) do call('UNLINK', ofBatch(id, part)) end
  for _, list in ipairs({ ':list', ':list:' .. owner, ':endings' }) do call('ZREM', root .. list, id) end
  call('ZREM', root .. ':expiring', member)
end
local garbage = root .. ':garbage'
local id = call('ZRANGE', garbage, 0, 0)[1]
local digests = id and call('LRANGE', root .. ':garbage:' .. id, 0, ARGV[1] - 1) or {}
-- Behind the others: what cannot be removed must not be in their way.
if #digests > 0 then call('ZADD', garbage, call('ZRANGE', garbage, -1, -1, 'WITHSCORES')[2] + 1, id)
elseif id then call('ZREM', garbage, id) end
return { #expired, id or '', digests }
