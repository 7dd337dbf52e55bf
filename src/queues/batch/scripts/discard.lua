-- ARGV: 1 id. Returns nothing. A batch whose upload is complete stays, and so does one that is gone.
local batch = find(ARGV[1])
if not batch or batch.sealed then return end
if not isFinal[batch.status] then
  finish(batch, 'cancelled', '')
  changed(batch)
end
call('HSET', batch.key, 'expiresAtMs', now)
call('ZADD', root .. ':expiring', now, batch.id .. ':' .. batch.owner)
for _, list in ipairs({ ':list', ':list:' .. batch.owner, ':endings' }) do call('ZREM', root .. list, batch.id) end
