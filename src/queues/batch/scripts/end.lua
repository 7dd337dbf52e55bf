-- ARGV: 1 id, 2 `cancelled` or `failed`, 3 failure as JSON, or ''. Returns `gone` or the record, unchanged if it had ended.
local batch = find(ARGV[1])
if not batch then return 'gone' end
if not isFinal[batch.status] then
  finish(batch, ARGV[2], ARGV[3])
  changed(batch)
end
return call('HGETALL', batch.key)
