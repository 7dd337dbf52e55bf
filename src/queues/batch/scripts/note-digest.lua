-- ARGV: 1 id, 2 digest. Returns 1, or 0 where there is no such batch. Before the bytes are put: whatever happens then,
-- they are removed with the batch.
local batch = find(ARGV[1])
if not batch then return 0 end
call('RPUSH', ofBatch(batch.id, 'digests'), ARGV[2])
local ttl = call('PTTL', batch.key)
if ttl > 0 then keep(ofBatch(batch.id, 'digests'), ttl + digestsKeptMs) end
return 1
