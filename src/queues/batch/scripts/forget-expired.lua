-- ARGV: 1 how many batches, and how many digests. Returns digests that are nobody's any more.
-- A batch's list of digests becomes a list of garbage, whole, and is worked off from its head: `removed.lua`.
for _, member in ipairs(call('ZRANGE', root .. ':expiring', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
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
local id = call('ZRANGE', root .. ':garbage', 0, 0)[1]
if not id then return {} end
local digests = call('LRANGE', root .. ':garbage:' .. id, 0, ARGV[1] - 1)
if #digests == 0 then call('ZREM', root .. ':garbage', id) end
return digests
