-- ARGV: 1 id, 2 rows in all. Returns `gone`, `mismatch`, or the record. A batch that has ended stays as it is.
local batch = find(ARGV[1])
if not batch then return 'gone' end
if not isFinal[batch.status] and not batch.sealed then
  if call('HGET', batch.key, 'rowsReceived') ~= ARGV[2] then return 'mismatch' end
  call('HSET', batch.key, 'rowsTotal', ARGV[2])
  batch.sealed = true
  renewLease(batch)
  finishIfDone(batch)
  changed(batch)
end
return call('HGETALL', batch.key)
